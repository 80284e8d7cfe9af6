-- Remove the oldest entries up to a position, with all that leads to them; the floor moves with them,
-- so that nothing is ever stored below it.
-- KEYS  h, s, i, then x:<stream> of those entries' streams
-- ARGV  epoch, up to, the floor to leave behind, bytes before the name in an x key

local log = open(KEYS[1], ARGV[1])
local lists = {}
for n = 4, #KEYS do
  lists[string.sub(KEYS[n], tonumber(ARGV[4]) + 1)] = KEYS[n]
end
local rows = redis.call('XRANGE', KEYS[2], '-', ARGV[2] .. '-0')
for _, row in ipairs(rows) do
  local position, fields = position_of(row[1]), row[2]
  forget_key(KEYS[3], fields, position)
  local list = lists[fields[4]]
  -- The list of a name that was deleted and used again begins later.
  if list and redis.call('LINDEX', list, 0) == position then
    redis.call('LPOP', list)
  end
end
redis.call('XTRIM', KEYS[2], 'MINID', whole(tonumber(ARGV[2]) + 1) .. '-0')
-- Among entries that `renew` has put back it stops at the first that was deleted and is beyond.
for _, row in ipairs(redis.call('XRANGE', KEYS[2], '-', ARGV[2] .. '-0')) do
  redis.call('XDEL', KEYS[2], row[1])
end
log.floor = math.min(log.head, math.max(log.floor, tonumber(ARGV[3])))
save(log)
return #rows
