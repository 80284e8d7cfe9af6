-- A page of one stream: how the log stands, its oldest entry, and those of the stream after a position,
-- by the stream's own list.
-- KEYS  h, s, x:<stream>    ARGV  after, count

local found = redis.call('HMGET', KEYS[1], 'head', 'floor', 'latest', 'epoch', 'terms')
local after, low, high = tonumber(ARGV[1]), 0, redis.call('LLEN', KEYS[3])
while low < high do
  local middle = math.floor((low + high) / 2)
  if tonumber(redis.call('LINDEX', KEYS[3], middle)) > after then
    high = middle
  else
    low = middle + 1
  end
end
local rows = {}
for _, position in ipairs(redis.call('LRANGE', KEYS[3], low, low + tonumber(ARGV[2]) - 1)) do
  local id = position .. '-0'
  local row = redis.call('XRANGE', KEYS[2], id, id)[1]
  if row then
    table.insert(rows, row)
  end
end
return { found, redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1), rows }
