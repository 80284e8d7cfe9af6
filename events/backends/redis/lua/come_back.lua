-- What was last heard of in the future was heard of now: from now on it may be silent as long as it may.
-- KEYS  t, d    ARGV  now, microseconds that clocks may differ by

local now, skew = tonumber(ARGV[1]), tonumber(ARGV[2])
for _, name in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  local one = stream_state(KEYS[1], name)
  if one and tonumber(one.micros) - now > skew then
    one.micros = whole(now)
    save_stream(KEYS[1], one)
    note_deadline(KEYS[2], one)
  end
end
