-- How streams stand, and keys; after `common`.

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

