-- For each moment, the last position whose entry is from before it; the floor if there is none. Times
-- rise with positions, so it is found by halving, and there is no index of times.
-- KEYS  h, s    ARGV  moments

local found = redis.call('HMGET', KEYS[1], 'head', 'floor')
local head, floor = tonumber(found[1] or '0'), tonumber(found[2] or '0')

local function last_before(moment)
  local low, high = floor, head
  while low < high do
    local middle = math.floor((low + high) / 2)
    local row = redis.call('XRANGE', KEYS[2], string.format('(%.0f-0', middle), '+', 'COUNT', 1)[1]
    if row and tonumber(row[2][8]) < moment then
      low = tonumber(string.match(row[1], '^%d+'))
    else
      high = middle
    end
  end
  return string.format('%.0f', low)
end

local answer = {}
for n = 1, #ARGV do
  answer[n] = last_before(tonumber(ARGV[n]))
end
return answer
