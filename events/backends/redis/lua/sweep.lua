-- Remove some entries of a deleted stream; how many are left.
-- KEYS  s, i, z:<token>, g    ARGV  token, how many

local positions = redis.call('LRANGE', KEYS[3], 0, tonumber(ARGV[2]) - 1)
for _, position in ipairs(positions) do
  local id = position .. '-0'
  local row = redis.call('XRANGE', KEYS[1], id, id)[1]
  if row then
    forget_key(KEYS[2], row[2], position)
    redis.call('XDEL', KEYS[1], id)
  end
end
redis.call('LTRIM', KEYS[3], #positions, -1)
local left = redis.call('LLEN', KEYS[3])
if left == 0 then
  redis.call('SREM', KEYS[4], ARGV[1])
end
return left
