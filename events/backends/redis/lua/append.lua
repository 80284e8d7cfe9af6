-- Give events their places. The first pass decides what becomes of each and writes nothing, because
-- what a script has written stays written when it fails; the second pass writes.
--
-- KEYS  h, s, i, o; and if any event is in a stream: t, r, d, r:<status> five times, x:<stream> each
-- ARGV  now, epoch of a term that may begin, mode, channel, token, bytes before the name in an x key,
--       how much is told of each event, how many notes to forget and these, then for each event: kind,
--       number of its stream's key, payload, key, digest, context; and in a wide one: status that it
--       leads to, and from which, idle timeout, how its row of the outbox is noted
-- mode  all: a refusal refuses all. relay: what was committed is placed, or refused by itself.
--       idle: only those streams' events that have been silent for too long. forget: no event.
--
-- It answers with a text, since a client parses that in a third of the time that nested lists take:
-- `stale <token>`, `refused <number of the event> <reason> <detail>`, or `ok <time> <head>` and a line
-- for each event. Of the entries that keys have found it answers with a list as well.

local STATUSES = { running = 8, waiting = 9, completed = 10, failed = 11, stopped = 12 }
local ENDED = { completed = true, failed = true, stopped = true }

local now, mode, token = tonumber(ARGV[1]), ARGV[3], tonumber(ARGV[5])
local width = tonumber(ARGV[7])
local wide = width > 6
local first_event = 8 + tonumber(ARGV[8])
local log = open(KEYS[1], ARGV[2])

-- Somebody else may have relayed while the one who sends this stood still. Who only forgets may be late:
-- what it forgets can come again from nobody whose token is lower than the one that stands then.
if token then
  local newest = number(redis.call('HGET', KEYS[4], 'token'))
  if token < newest and mode ~= 'forget' then
    return 'stale ' .. whole(newest)
  end
  token = math.max(token, newest)
end

-- First pass

local streams, used, positions, lines, count = {}, {}, {}, {}, 0

local function stream_of(index)
  local one = streams[index]
  if not one then
    local name = string.sub(KEYS[12 + index], tonumber(ARGV[6]) + 1)
    one = stream_state(KEYS[5], name)
      or { name = name, seq = 0, first = '', last = '', micros = '0', status = '', opened = '',
        closed = '', idle = '', before = '' }
    one.expected = one.status
    streams[index] = one
  end
  return one
end

-- Who has a key already: an event before it in this batch, or an entry that is not pruned.
local function first_with(key)
  if used[key] then
    return used[key]
  end
  local known = redis.call('HGET', KEYS[3], key)
  if known then
    local position, digest = string.match(known, '^(%d+):(.*)$')
    if tonumber(position) > log.floor then
      return { position = position, digest = digest }
    end
  end
end

-- What becomes of an event: its position, and the status of a stream that had ended before; or
-- nothing, and why.
local function fate_of(base)
  local key = ARGV[base + 4]
  local note, to = wide and ARGV[base + 10] or '', wide and ARGV[base + 7] or ''
  if note ~= '' and redis.call('HEXISTS', KEYS[4], note) == 1 then
    return nil, 'done'
  end
  local first = key ~= '' and first_with(key)
  if first then
    return nil, (first.digest == ARGV[base + 5] and 'old ' or 'refused key ') .. first.position
  end
  local index, late = ARGV[base + 2], ''
  if index ~= '0' then
    local one = stream_of(tonumber(index))
    if to ~= '' then
      if one.expected == to or (mode == 'idle' and not is_idle(one, now)) then
        return nil, 'nothing'
      end
      local from = one.expected == '' and 'none' or one.expected
      if not string.find(ARGV[base + 8], ',' .. from .. ',', 1, true) then
        return nil, 'refused step ' .. one.expected
      end
      one.expected = to
    elseif ENDED[one.expected] then
      if mode ~= 'relay' then
        return nil, 'refused closed ' .. one.expected
      end
      late = one.expected
    end
  end
  count = count + 1
  local position = whole(log.head + count)
  if key ~= '' then
    used[key] = { position = position, digest = ARGV[base + 5] }
  end
  return position, late
end

local events = (#ARGV - first_event) / width
for n = 1, events do
  local position, why = fate_of(first_event + (n - 1) * width)
  if not position and mode ~= 'relay' and string.sub(why, 1, 7) == 'refused' then
    return 'refused ' .. n .. string.sub(why, 8)
  end
  positions[n], lines[n] = position, why
end

-- Second pass

local clock = ARGV[1]
local time = now >= log.latest and clock or whole(log.latest)

local function advance(one, base, position)
  one.seq = whole(tonumber(one.seq) + 1)
  one.first = one.first == '' and position or one.first
  one.last, one.micros, one.changed = position, clock, true
  local to = wide and ARGV[base + 7] or ''
  if to ~= '' then
    one.status = to
    if to == 'running' and one.opened == '' then
      one.opened, one.idle = clock, ARGV[base + 9]
    end
    if ENDED[to] then
      one.closed = clock
    end
  end
end

local rows = {}
for n = 1, events do
  local position, base = positions[n], first_event + (n - 1) * width
  if position then
    local index, key = ARGV[base + 2], ARGV[base + 4]
    local name, seq = '', '0'
    if index ~= '0' then
      local one = streams[tonumber(index)]
      advance(one, base, position)
      name, seq = one.name, one.seq
      redis.call('RPUSH', KEYS[12 + index], position)
    end
    add(KEYS[2], position, ARGV[base + 1], name, seq, time, ARGV[base + 3], key, ARGV[base + 6])
    if key ~= '' then
      redis.call('HSET', KEYS[3], key, position .. ':' .. ARGV[base + 5])
    end
    if wide and ARGV[base + 10] ~= '' then
      redis.call('HSET', KEYS[4], ARGV[base + 10], position)
    end
    lines[n] = 'new ' .. position .. ' ' .. seq .. ' ' .. lines[n]
  elseif string.sub(lines[n], 1, 3) == 'old' then
    local id = string.sub(lines[n], 5) .. '-0'
    table.insert(rows, redis.call('XRANGE', KEYS[2], id, id))
  end
end

for _, one in pairs(streams) do
  if one.changed then
    save_stream(KEYS[5], one)
    redis.call('ZADD', KEYS[6], one.last, one.name)
    if one.before ~= one.status and one.before ~= '' then
      redis.call('ZREM', KEYS[STATUSES[one.before]], one.name)
    end
    if one.status ~= '' then
      redis.call('ZADD', KEYS[STATUSES[one.status]], one.last, one.name)
    end
    note_deadline(KEYS[7], one)
  end
end

for n = 9, first_event do
  redis.call('HDEL', KEYS[4], ARGV[n])
end
if token then
  redis.call('HSET', KEYS[4], 'token', whole(token))
end
log.head = log.head + count
-- Also if nothing is new: a WAIT counts who has the latest write of its own connection, and an entry
-- whose key comes again may have been written down another one.
local head = save(log, count > 0 and time)
if count > 0 then
  hint(ARGV[4], head)
end
local text = 'ok ' .. time .. ' ' .. head
if events > 0 then
  text = text .. '\n' .. table.concat(lines, '\n')
end
return #rows > 0 and { text, rows } or text
