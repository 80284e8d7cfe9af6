-- Remove a stream and say so in the log. Its entries go in steps, by the list that is put aside.
-- KEYS  h, s, t, r, d, r:<status> five times, x:<stream>, z:<token>, g
-- ARGV  now, epoch, channel, stream, token

local one = stream_state(KEYS[3], ARGV[4])
if not one then
  return -1
end
local log = open(KEYS[1], ARGV[2])
local count = redis.call('LLEN', KEYS[11])
redis.call('HDEL', KEYS[3], ARGV[4])
for n = 4, 10 do
  redis.call('ZREM', KEYS[n], ARGV[4])
end
if count > 0 then
  redis.call('RENAME', KEYS[11], KEYS[12])
  redis.call('SADD', KEYS[13], ARGV[5])
end
log.head = log.head + 1
log.latest = math.max(tonumber(ARGV[1]), log.latest)
local text = '{"stream":"' .. ARGV[4] .. '","events":' .. whole(count) .. '}'
add(KEYS[2], whole(log.head), 'stream.deleted', '', '0', whole(log.latest), text, '', '')
hint(ARGV[3], save(log))
return count
