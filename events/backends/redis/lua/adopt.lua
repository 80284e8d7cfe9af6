-- Take over entries of another log, each at its position, and that log's identity.
-- KEYS  h, s, i, then x:<stream> of these entries' streams
-- ARGV  epoch of a term that may begin, the other log's epoch, after, up to, then ten for each entry:
--       position, kind, stream, number of its stream's key, seq, time, payload, key, digest, context

local log = open(KEYS[1], ARGV[1])
local after = tonumber(ARGV[3])
if log.head ~= 0 and log.head ~= after then
  return 'busy'
end
if log.head == 0 then
  log.floor = after
end
for base = 4, #ARGV - 10, 10 do
  local position, key = ARGV[base + 1], ARGV[base + 8]
  add(KEYS[2], position, ARGV[base + 2], ARGV[base + 3], ARGV[base + 5], ARGV[base + 6],
    ARGV[base + 7], key, ARGV[base + 10])
  if ARGV[base + 4] ~= '0' then
    redis.call('RPUSH', KEYS[3 + tonumber(ARGV[base + 4])], position)
  end
  if key ~= '' then
    redis.call('HSET', KEYS[3], key, position .. ':' .. ARGV[base + 9])
  end
  log.latest = math.max(log.latest, tonumber(ARGV[base + 6]))
end
log.head = tonumber(ARGV[4])
log.epoch, log.terms, log.begins = ARGV[2], ARGV[2] .. ':1', true
save(log)
return 'ok'
