-- Some commands that read, as one view, of a server that is too full to queue them in a transaction.
-- KEYS  the key of each    ARGV  for each: its name, how many arguments follow, and these

local answers, at = {}, 1
for n, key in ipairs(KEYS) do
  local count = tonumber(ARGV[at + 1])
  answers[n] = redis.call(ARGV[at], key, unpack(ARGV, at + 2, at + 1 + count))
  at = at + 2 + count
end
return answers
