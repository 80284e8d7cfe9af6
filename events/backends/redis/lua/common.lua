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
  local found = redis.call('HMGET', key, 'head', 'floor', 'latest', 'run')
  local log = { key = key, head = number(found[1]), floor = number(found[2]), latest = number(found[3]) }
  log.pruned, log.run = log.floor, found[4]
  local info = redis.call('INFO', 'replication')
  log.begins = not log.run or not string.find(info, 'master_replid:' .. log.run .. '\r', 1, true)
  if log.begins then
    log.epoch, log.run = epoch, string.match(info, 'master_replid:(%w+)')
    -- At most 100 terms: a cursor of an older one is told that its epoch is over.
    local kept = {}
    for term in string.gmatch(redis.call('HGET', key, 'terms') or '', '%S+') do
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

-- With `latest`, that is the time of the newest entry as a text. The head as a text.
local function save(log, latest)
  local head = whole(log.head)
  redis.call('HSET', log.key, 'head', head, 'latest', latest or whole(log.latest))
  if log.floor ~= log.pruned then
    redis.call('HSET', log.key, 'floor', whole(log.floor))
  end
  if log.begins then
    redis.call('HSET', log.key, 'epoch', log.epoch, 'run', log.run, 'terms', log.terms)
  end
  return head
end

-- The last that a script does: what is stored stays so, also where an ACL forbids to publish.
local function hint(channel, head)
  redis.pcall('SPUBLISH', channel, head)
end

local function add(key, position, kind, stream, seq, micros, text, used, context)
  -- The same fields in the same order, so that their names are stored once for a node of the stream.
  redis.call('XADD', key, position .. '-0', 'k', kind, 's', stream, 'q', seq, 't', micros,
    'p', text, 'i', used, 'c', context)
end

