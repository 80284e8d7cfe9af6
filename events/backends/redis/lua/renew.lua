-- A new identity for the log. With a time, what is from later gets that time: an entry of a Redis
-- stream cannot be changed, so the newest are taken out and put back.
-- KEYS  h, s    ARGV  epoch, time or ''

local log = open(KEYS[1], ARGV[1])
log.epoch, log.terms, log.begins = ARGV[1], ARGV[1] .. ':' .. whole(log.head + 1), true
local time = tonumber(ARGV[2])
if time and log.latest > time then
  local rows = {}
  local last = '+'
  while true do
    local some = redis.call('XREVRANGE', KEYS[2], last, '-', 'COUNT', 500)
    local older = #some < 500
    for _, row in ipairs(some) do
      if tonumber(row[2][8]) <= time then
        older = true
        break
      end
      table.insert(rows, row)
      last = '(' .. row[1]
    end
    if older then
      break
    end
  end
  for _, row in ipairs(rows) do
    redis.call('XDEL', KEYS[2], row[1])
  end
  if #rows > 0 then
    -- Valkey takes no id below that of the newest entry that was ever deleted: none was, since all
    -- come back.
    redis.call('XSETID', KEYS[2], whole(log.head) .. '-0', 'ENTRIESADDED', whole(log.head),
      'MAXDELETEDID', '0-1')
    redis.call('XSETID', KEYS[2], whole(number(position_of(rows[#rows][1])) - 1) .. '-0')
  end
  for n = #rows, 1, -1 do
    local f = rows[n][2]
    add(KEYS[2], position_of(rows[n][1]), f[2], f[4], f[6], whole(time), f[10], f[12], f[14])
  end
  log.latest = time
end
save(log)
return log.epoch
