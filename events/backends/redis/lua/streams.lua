-- Streams by their last position, and how they stand.
-- KEYS  t, r or r:<status>    ARGV  'newest' or 'nearest', bound, limit

local names
if ARGV[1] == 'nearest' then
  names = redis.call('ZRANGE', KEYS[2], ARGV[2], '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[3])
else
  names = redis.call('ZRANGE', KEYS[2], ARGV[2], '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, ARGV[3])
end
local answer = {}
for n, name in ipairs(names) do
  answer[n] = { name, redis.call('HGET', KEYS[1], name) }
end
return answer
