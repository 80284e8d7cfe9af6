-- Of some streams, what was last heard of in the future was heard of now: from now on they may be silent
-- as long as they may.
-- KEYS  t, d    ARGV  now, microseconds that clocks may differ by, names

local now, skew = tonumber(ARGV[1]), tonumber(ARGV[2])
for n = 3, #ARGV do
  local one = stream_state(KEYS[1], ARGV[n])
  if one and tonumber(one.micros) - now > skew then
    one.micros = whole(now)
    save_stream(KEYS[1], one)
    note_deadline(KEYS[2], one)
  end
end
