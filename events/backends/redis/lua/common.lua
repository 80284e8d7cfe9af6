-- What every script that writes begins with. Positions and microseconds are below 2^53, so a double
-- holds them; they are written by '%.0f', because Lua's tostring() rounds them to 14 digits.

local function number(text)
  return tonumber(text or '0') or 0
end

local function whole(value)
  return string.format('%.0f', value)
end

-- The log as its hash says. A server that has another replication id than the one that wrote last was
-- promoted, or was restarted: what its predecessor took may be gone, so a new term begins.
local function open(key, epoch)
  local found = redis.call('HMGET', key, 'head', 'floor', 'latest', 'epoch', 'run', 'terms')
  local log = {
    key = key,
    head = number(found[1]),
    floor = number(found[2]),
    latest = number(found[3]),
    epoch = found[4],
    run = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)'),
    terms = found[6] or '',
  }
  log.begins = found[5] ~= log.run
  if log.begins then
    log.epoch = epoch
    -- At most 100 terms: a cursor of an older one is told that its epoch is over.
    local kept = {}
    for term in string.gmatch(log.terms, '%S+') do
      table.insert(kept, term)
    end
    while #kept > 99 do
      table.remove(kept, 1)
    end
    table.insert(kept, epoch .. ':' .. whole(log.head + 1))
    log.terms = table.concat(kept, ' ')
  end
  return log
end

local function save(log)
  redis.call('HSET', log.key, 'head', whole(log.head), 'floor', whole(log.floor), 'latest', whole(log.latest))
  if log.begins then
    redis.call('HSET', log.key, 'epoch', log.epoch, 'run', log.run, 'terms', log.terms)
  end
end

-- The last that a script does: what is stored stays so, also where an ACL forbids to publish.
local function hint(channel, log)
  redis.pcall('SPUBLISH', channel, whole(log.head))
end

-- A stream's state, in one text: the fields of `StreamState` in Python, in that order.
local STATE = '^(%d+)|(%d+)|(%d+)|(%d+)|(%l*)|(%d*)|(%d*)|(.*)$'

local function stream_state(key, name)
  local text = redis.call('HGET', key, name)
  if not text then
    return nil
  end
  local one = { name = name }
  one.seq, one.first, one.last, one.micros, one.status, one.opened, one.closed, one.idle =
    string.match(text, STATE)
  one.before = one.status
  return one
end

local function save_stream(key, one)
  redis.call('HSET', key, one.name, table.concat(
    { one.seq, one.first, one.last, one.micros, one.status, one.opened, one.closed, one.idle }, '|'))
end

local function is_idle(one, now)
  return one.status == 'running' and one.idle ~= ''
    and now - tonumber(one.micros) > tonumber(one.idle) * 1000000
end

local function note_deadline(key, one)
  if one.status == 'running' and one.idle ~= '' then
    redis.call('ZADD', key, whole(tonumber(one.micros) + tonumber(one.idle) * 1000000), one.name)
  elseif one.before == 'running' then
    redis.call('ZREM', key, one.name)
  end
end

local function add(key, position, kind, stream, seq, micros, text, used, context)
  -- The same fields in the same order, so that their names are stored once for a node of the stream.
  redis.call('XADD', key, position .. '-0', 'k', kind, 's', stream, 'q', seq, 't', micros,
    'p', text, 'i', used, 'c', context)
end

-- Forget the key of an entry, unless a later entry has it by now.
local function forget_key(keys, fields, position)
  local used = fields[12]
  if used and used ~= '' then
    local known = redis.call('HGET', keys, used)
    if known and string.match(known, '^%d+') == position then
      redis.call('HDEL', keys, used)
    end
  end
end

local function position_of(id)
  return string.match(id, '^%d+')
end
