-- Give events their places. The first pass decides what becomes of each and writes nothing, because
-- what a script has written stays written when it fails; the second pass writes.
--
-- KEYS  h, s, i, o; and if any event is in a stream: t, r, d, r:<status> five times, x:<stream> each
-- ARGV  now, epoch of a term that may begin, mode, channel, token, bytes before the name in an x key,
--       how many ids to forget and these, then ten for each event: kind, number of its stream's key,
--       payload, key, digest, context, status that it leads to, and from which, idle timeout, outbox id
-- mode  all: a refusal refuses all. relay: what was committed is placed, or refused by itself.
--       idle: only those streams' events that have been silent for too long. forget: no event.

local STATUSES = { running = 8, waiting = 9, completed = 10, failed = 11, stopped = 12 }
local ENDED = { completed = true, failed = true, stopped = true }
local WIDTH = 10

local now, mode, token = tonumber(ARGV[1]), ARGV[3], tonumber(ARGV[5])
local before_name = tonumber(ARGV[6])
local first_event = 7 + tonumber(ARGV[7])
local log = open(KEYS[1], ARGV[2])

-- Somebody else may have relayed while the one who sends this stood still. Who only forgets may be late:
-- what it forgets can come again from nobody whose token is lower than the one that stands then.
if token then
  local newest = number(redis.call('HGET', KEYS[4], 'token'))
  if token < newest and mode ~= 'forget' then
    return { 'stale', whole(newest) }
  end
  token = math.max(token, newest)
end

-- First pass

local streams, used, fates, count = {}, {}, {}, 0

local function stream_of(index)
  local one = streams[index]
  if not one then
    local name = string.sub(KEYS[12 + index], before_name + 1)
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

local function fate_of(base)
  local key, id = ARGV[base + 4], ARGV[base + 10]
  if id ~= '' and redis.call('HEXISTS', KEYS[4], id) == 1 then
    return { 'done' }
  end
  local first = key ~= '' and first_with(key)
  if first then
    if first.digest ~= ARGV[base + 5] then
      return { 'refused', 'key', first.position }
    end
    return { 'old', first.position }
  end
  local index, late = tonumber(ARGV[base + 2]), ''
  if index > 0 then
    local one, to = stream_of(index), ARGV[base + 7]
    if to ~= '' then
      if one.expected == to or (mode == 'idle' and not is_idle(one, now)) then
        return { 'nothing' }
      end
      local from = one.expected == '' and 'none' or one.expected
      if not string.find(ARGV[base + 8], ',' .. from .. ',', 1, true) then
        return { 'refused', 'step', one.expected }
      end
      one.expected = to
    elseif ENDED[one.expected] then
      if mode ~= 'relay' then
        return { 'refused', 'closed', one.expected }
      end
      late = one.expected
    end
  end
  count = count + 1
  local position = whole(log.head + count)
  if key ~= '' then
    used[key] = { position = position, digest = ARGV[base + 5] }
  end
  return { 'new', position, 0, late }
end

local events = (#ARGV - first_event) / WIDTH
for n = 1, events do
  local fate = fate_of(first_event + (n - 1) * WIDTH)
  if fate[1] == 'refused' and mode ~= 'relay' then
    return { 'refused', n, fate[2], fate[3] }
  end
  fates[n] = fate
end

-- Second pass

local clock, time = whole(now), whole(math.max(now, log.latest))

local function advance(one, base, position)
  one.seq = whole(tonumber(one.seq) + 1)
  one.first = one.first == '' and position or one.first
  one.last, one.micros, one.changed = position, clock, true
  local to = ARGV[base + 7]
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

for n = 1, events do
  local fate, base = fates[n], first_event + (n - 1) * WIDTH
  if fate[1] == 'new' then
    local position, index = fate[2], tonumber(ARGV[base + 2])
    local name, seq = '', '0'
    if index > 0 then
      local one = streams[index]
      advance(one, base, position)
      name, seq = one.name, one.seq
      redis.call('RPUSH', KEYS[12 + index], position)
    end
    add(KEYS[2], position, ARGV[base + 1], name, seq, time, ARGV[base + 3], ARGV[base + 4], ARGV[base + 6])
    if ARGV[base + 4] ~= '' then
      redis.call('HSET', KEYS[3], ARGV[base + 4], position .. ':' .. ARGV[base + 5])
    end
    if ARGV[base + 10] ~= '' then
      redis.call('HSET', KEYS[4], ARGV[base + 10], position)
    end
    fate[3] = seq
  elseif fate[1] == 'old' then
    fate[3] = redis.call('XRANGE', KEYS[2], fate[2] .. '-0', fate[2] .. '-0')
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

for n = 8, first_event do
  redis.call('HDEL', KEYS[4], ARGV[n])
end
if token then
  redis.call('HSET', KEYS[4], 'token', whole(token))
end
if count > 0 then
  log.head = log.head + count
  log.latest = tonumber(time)
end
-- Also if nothing is new: a WAIT counts who has the latest write of its own connection, and an entry
-- whose key comes again may have been written down another one.
save(log)
if count > 0 then
  hint(ARGV[4], log)
end
return { 'ok', time, whole(log.head), fates }
