-- Take over how streams stand.
-- KEYS  t, r, d, r:<status> five times
-- ARGV  nine for each stream: its name, and the fields of its state

local STATUSES = { running = 4, waiting = 5, completed = 6, failed = 7, stopped = 8 }
for base = 0, #ARGV - 9, 9 do
  local one = { name = ARGV[base + 1], seq = ARGV[base + 2], first = ARGV[base + 3], last = ARGV[base + 4],
    micros = ARGV[base + 5], status = ARGV[base + 6], opened = ARGV[base + 7], closed = ARGV[base + 8],
    idle = ARGV[base + 9], before = '' }
  save_stream(KEYS[1], one)
  redis.call('ZADD', KEYS[2], one.last, one.name)
  for status, number in pairs(STATUSES) do
    redis.call('ZREM', KEYS[number], one.name)
    if status == one.status then
      redis.call('ZADD', KEYS[number], one.last, one.name)
    end
  end
  note_deadline(KEYS[3], one)
end
