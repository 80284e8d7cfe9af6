-- Make the log if there is none, and begin a new term if another server wrote last.
-- KEYS  h    ARGV  epoch

local log = open(KEYS[1], ARGV[1])
if log.begins then
  save(log)
end
return redis.call('HGET', KEYS[1], 'epoch')
