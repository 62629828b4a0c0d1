-- Applies a batch of sightings to one tenant's sets and answers what was known before each: the rules of
-- services/fraud/memory.py, in one round trip and atomically.
--
-- KEYS[1] applied-through of all tenants; every other key shares its hash tag.
-- ARGV[1] prefix of keys   ARGV[2] committed through, ms   ARGV[3] applied through afterwards, ms
-- ARGV[4] limits (JSON)    ARGV[5] sightings (JSON, rows of [event, user, device, payment, address, household,
--         time ms, place as hex, domain, sign-up address, created ms, act as hex, stream, ended 0/1,
--         reads [[key, since ms, excluded]], adds [[key, member, span ms]], priority])
-- Answer: {applied through} where the memory is behind, else {applied through, row, row, ...}.

local call = redis.call
local prefix = ARGV[1]
local limits = cjson.decode(ARGV[4])
local applied = tonumber(call('GET', KEYS[1]) or '0')
if tonumber(ARGV[2]) > applied then
  return {applied}
end

local DAY = 86400000
local floor, min, max, match, format = math.floor, math.min, math.max, string.match, string.format

-- What an account owns, and an edge, is given its time to live anew on the first event of a day, and a day more for that.
local RETENTION = limits.edge_retention + DAY

local function number(value)
  return format('%.0f', value)
end

-- Largest priority among the values of a set ("...,priority").
local function largest(values)
  local top, account = -1, nil
  for name, value in pairs(values) do
    local prio = tonumber(match(value, '(%d+)$'))
    if prio > top then
      top, account = prio, name
    end
  end
  return top, account
end

-- Puts an account into a full set where its priority is among the smallest.
local function into_full(key, values, marker, account, value, prio)
  if not marker then
    marker = largest(values)
    call('HSET', key, '', number(marker))
  end
  if prio >= marker then
    return
  end
  local _, last = largest(values)
  call('HDEL', key, last)
  values[last] = nil
  values[account] = value
  call('HSET', key, account, value, '', number((largest(values))))
end

local function split(flat)
  local values, count, marker = {}, 0, nil
  for i = 1, #flat, 2 do
    if flat[i] == '' then
      marker = tonumber(flat[i + 1])
    else
      values[flat[i]] = flat[i + 1]
      count = count + 1
    end
  end
  return values, count, marker
end

local function root_of(account)
  return call('GET', prefix .. 'c:' .. account)
end

local function tie(user, other, resource, ties)
  local mine = root_of(user)
  local theirs = root_of(other)
  local mine_size = mine and call('SCARD', prefix .. 'm:' .. mine) or 1
  local theirs_size = theirs and call('SCARD', prefix .. 'm:' .. theirs) or 1
  if not mine or mine ~= theirs then
    if mine_size + theirs_size > limits.component_cap then
      return
    end
    for _, account in ipairs({user, other}) do
      if not root_of(account) then
        call('SET', prefix .. 'c:' .. account, account)
        call('SADD', prefix .. 'm:' .. account, account)
      end
    end
    mine, theirs = mine or user, theirs or other
    if mine_size < theirs_size then
      mine, theirs = theirs, mine
    end
    local accounts = call('SMEMBERS', prefix .. 'm:' .. theirs)
    for _, account in ipairs(accounts) do
      call('SET', prefix .. 'c:' .. account, mine, 'PX', RETENTION)
    end
    call('SADD', prefix .. 'm:' .. mine, unpack(accounts))
    local resources = call('SMEMBERS', prefix .. 'r:' .. theirs)
    if #resources > 0 then
      call('SADD', prefix .. 'r:' .. mine, unpack(resources))
    end
    ties = ties + tonumber(call('GET', prefix .. 'z:' .. theirs) or '0')
    call('DEL', prefix .. 'm:' .. theirs, prefix .. 'r:' .. theirs, prefix .. 'z:' .. theirs)
  end
  call('INCRBY', prefix .. 'z:' .. mine, ties)
  if call('SCARD', prefix .. 'r:' .. mine) < limits.resources_cap then
    call('SADD', prefix .. 'r:' .. mine, resource)
  end
  call('PEXPIRE', prefix .. 'c:' .. user, RETENTION)
  call('PEXPIRE', prefix .. 'c:' .. other, RETENTION)
  for _, kind in ipairs({'m:', 'r:', 'z:'}) do
    call('PEXPIRE', prefix .. kind .. mine, RETENTION)
  end
end

-- Alive and kept accounts beside the asking one, the marker (-1: none), and the first time and days of its own edge.
local function edge(kind, resource, user, time, prio, window)
  local key = prefix .. kind .. ':' .. resource
  local values, count, marker = split(call('HGETALL', key))
  local day = floor(time / DAY)
  local since = time - window
  local alive, other = 0, nil
  for account, value in pairs(values) do
    if account ~= user then
      other = account
      if tonumber(match(value, '^%d+,(%d+)')) > since then
        alive = alive + 1
      end
    end
  end
  local mine = values[user]
  local others = count
  local seen, seen_days = 0, 0
  local known_today = false
  if mine then
    others = count - 1
    local first, last, days = match(mine, '^(%d+),(%d+),(%d+)')
    first, last, days = tonumber(first), tonumber(last), tonumber(days)
    -- The asking event is no sighting before itself, and its day no day before it.
    local ahead = floor(last / DAY) - day
    seen = first < time and first or 0
    seen_days = days
    if ahead >= 30 then
      seen_days = 0
    elseif ahead >= 0 then
      seen_days = bit.lshift(bit.rshift(days, ahead + 1), ahead + 1)
    end
    if time >= last then
      local shift = day - floor(last / DAY)
      known_today = shift == 0
      if shift >= 30 then
        days = 1
      elseif shift > 0 then
        days = bit.band(bit.bor(bit.lshift(days, shift), 1), 0x3fffffff)
      end
      last = time
    else
      local back = floor(last / DAY) - day
      if back < 30 then
        days = bit.bor(days, bit.lshift(1, back))
      end
      first = min(first, time)
    end
    values[user] = number(first) .. ',' .. number(last) .. ',' .. number(days) .. ',' .. number(prio)
    call('HSET', key, user, values[user])
  else
    local value = number(time) .. ',' .. number(time) .. ',1,' .. number(prio)
    if not marker and count < limits.degree_cap then
      values[user] = value
      call('HSET', key, user, value)
      if other and (kind == 'd' or kind == 'p') then
        tie(user, other, kind .. ':' .. resource, count == 1 and 2 or 1)
      end
    else
      into_full(key, values, marker, user, value, prio)
    end
  end
  if not known_today then
    call('PEXPIRE', key, RETENTION)
  end
  if window == 0 then
    alive = 0
  end
  return alive, others, marker or -1, seen, seen_days, values
end

-- Accounts of an address, regulars, those of one day only, and 1 where they use few devices.
local function crowd(values)
  local seen, regulars, once, few = 0, 0, 0, 0
  for _, value in pairs(values) do
    local days = tonumber(match(value, '^%d+,%d+,(%d+)'))
    -- One bit, two, or more: the lowest one is taken off.
    days = bit.band(days, days - 1)
    seen = seen + 1
    if days == 0 then
      once = once + 1
    elseif bit.band(days, days - 1) ~= 0 then
      regulars = regulars + 1
    end
  end
  if seen > limits.home_accounts then
    local devices, count, enough = {}, 0, limits.few_devices * seen
    for account in pairs(values) do
      for _, device in ipairs(call('ZRANGE', prefix .. 'v:' .. account, 0, -1)) do
        if not devices[device] then
          devices[device] = true
          count = count + 1
        end
      end
      if count >= enough then
        break
      end
    end
    few = (count > 0 and count < enough) and 1 or 0
  end
  return {seen, regulars, once, few}
end

local function support(user, name, time, first_today)
  local key = prefix .. 'x:' .. user
  if call('ZADD', key, 'GT', number(time), name) == 1 then
    call('ZREMRANGEBYRANK', key, 0, -(limits.soft_cap + 1))
    first_today = true
  end
  if first_today then
    call('PEXPIRE', key, RETENTION)
  end
end

local function count_window(key, since, excluded)
  local total = call('ZCOUNT', key, '(' .. number(since), '+inf')
  if total > 0 then
    local known = call('ZSCORE', key, excluded)
    if known and tonumber(known) > since then
      total = total - 1
    end
  end
  return total
end

local function add_to_window(key, member, time, span)
  call('ZADD', key, 'GT', number(time), member)
  local newest = call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  call('ZREMRANGEBYSCORE', key, '-inf', number(tonumber(newest[2]) - span))
  call('ZREMRANGEBYRANK', key, 0, -(limits.window_cap + 1))
  call('PEXPIRE', key, span + limits.lateness)
end

local function uses(user, code, first_today)
  local key = prefix .. 'v:' .. user
  if call('ZADD', key, code, code) == 1 then
    call('ZREMRANGEBYRANK', key, limits.devices_cap, -1)
    first_today = true
  end
  if first_today then
    call('PEXPIRE', key, RETENTION)
  end
end

local function account(user, time, household, created, newest, first_today)
  local key = prefix .. 'a:' .. user
  if household ~= '' then
    local known = call('HMGET', key, 'ht', 'h')
    local ht = tonumber(known[1] or '0')
    if time > ht or (time == ht and household > (known[2] or '')) then
      call('HSET', key, 'ht', number(time), 'h', household)
    end
  end
  if created > 0 then
    local known = tonumber(call('HGET', key, 'c') or '0')
    if known == 0 or created < known then
      call('HSET', key, 'c', number(created))
    end
  end
  if time > newest then
    call('HSET', key, 'n', number(time))
  end
  if first_today then
    call('PEXPIRE', key, RETENTION)
  end
end

-- The place before and the place after a place, which is added.
local function locate(user, time, place, first_today)
  local key = prefix .. 'l:' .. user
  local before, after = '', ''
  local nearest = call('ZREVRANGEBYSCORE', key, number(time), '-inf', 'LIMIT', 0, 2)
  for _, known in ipairs(nearest) do
    if known ~= place then
      before = known
      break
    end
  end
  after = call('ZRANGEBYSCORE', key, '(' .. number(time), '+inf', 'LIMIT', 0, 1)[1] or ''
  call('ZADD', key, number(time), place)
  call('ZREMRANGEBYRANK', key, 0, -(limits.sightings_cap + 1))
  if first_today or (before == '' and after == '') then
    call('PEXPIRE', key, RETENTION)
  end
  return before, after
end

-- The acts before an act, which is added. Their hexadecimal texts sort as (time, event).
local function enact(user, act, first_today)
  local key = prefix .. 'k:' .. user
  local before = call('ZRANGEBYLEX', key, '-', '(' .. act)
  call('ZADD', key, 0, act)
  call('ZREMRANGEBYRANK', key, 0, -(limits.acts_cap + 1))
  if first_today or #before == 0 then
    call('PEXPIRE', key, RETENTION)
  end
  return table.concat(before)
end

-- The other streams of an account as JSON [last, ended, device, address]; the stream is added or moved.
local function flow(user, stream, time, ended, device, address, first_today)
  local key = prefix .. 't:' .. user
  local others, known, count = {}, nil, 0
  local oldest, oldest_time = nil, nil
  local flat = call('HGETALL', key)
  for i = 1, #flat, 2 do
    count = count + 1
    local value = cjson.decode(flat[i + 1])
    if flat[i] == stream then
      known = value
    else
      others[#others + 1] = flat[i + 1]
      if not oldest or value[1] < oldest_time or (value[1] == oldest_time and flat[i] < oldest) then
        oldest, oldest_time = flat[i], value[1]
      end
    end
  end
  local value = {time, ended == 1 and time or 0, device, address}
  if known then
    local later = known[1] > time or (known[1] == time and
      (known[3] > device or (known[3] == device and known[4] > address)))
    if later then
      value = {known[1], max(known[2], value[2]), known[3], known[4]}
    else
      value[2] = max(known[2], value[2])
    end
  end
  call('HSET', key, stream, '[' .. number(value[1]) .. ',' .. number(value[2]) .. ',' ..
    cjson.encode(value[3]) .. ',' .. cjson.encode(value[4]) .. ']')
  if not known and count >= limits.streams_cap then
    if value[1] < oldest_time or (value[1] == oldest_time and stream < oldest) then
      oldest = stream
    end
    call('HDEL', key, oldest)
  end
  if first_today or count == 0 then
    call('PEXPIRE', key, RETENTION)
  end
  return others
end

local answer = {applied}
for i, item in ipairs(cjson.decode(ARGV[5])) do
  local event, user, device, payment, address, household, time, place, domain, signup, created, act, stream, ended,
    reads, adds, prio, code = unpack(item)
  -- 0: there is no such account yet.
  local newest = tonumber(call('HGET', prefix .. 'a:' .. user, 'n') or '0')
  local first_today = floor(newest / DAY) ~= floor(time / DAY)
  local root = root_of(user)
  local members, ties = 0, 0
  if root then
    members = call('SCARD', prefix .. 'm:' .. root)
    ties = tonumber(call('GET', prefix .. 'z:' .. root) or '0')
    if first_today then
      call('PEXPIRE', prefix .. 'c:' .. user, RETENTION)
      for _, kind in ipairs({'m:', 'r:', 'z:'}) do
        call('PEXPIRE', prefix .. kind .. root, RETENTION)
      end
    end
  end
  uses(user, code, first_today)
  local da, dn, dt, device_since = edge('d', device, user, time, prio, limits.edge_window)
  local pa, pn, pt = 0, 0, -1
  if payment ~= '' then
    pa, pn, pt = edge('p', payment, user, time, prio, limits.edge_window)
  end
  local aa, an, at, address_since, address_days, values = 0, 0, -1, 0, 0, {}
  if address ~= '' then
    aa, an, at, address_since, address_days, values = edge('i', address, user, time, prio, limits.address_window)
    support(user, 'i:' .. address, time, first_today)
  end
  if domain ~= '' then
    edge('e', domain, user, time, prio, 0)
    support(user, 'e:' .. domain, time, first_today)
  end
  if signup ~= '' then
    edge('s', signup, user, time, prio, 0)
    support(user, 's:' .. signup, time, first_today)
  end
  account(user, time, household, created, newest, first_today)
  local before, after, acts, streams = '', '', '', {}
  if place ~= '' then
    before, after = locate(user, time, place, first_today)
  end
  if act ~= '' then
    acts = enact(user, act, first_today)
  end
  if stream ~= '' then
    streams = flow(user, stream, time, ended, device, address, first_today)
  end
  local counts = {}
  for n, read in ipairs(reads) do
    counts[n] = count_window(prefix .. 'w:' .. read[1], read[2], read[3])
  end
  for _, add in ipairs(adds) do
    add_to_window(prefix .. 'w:' .. add[1], add[2], time, add[3])
  end
  answer[i + 1] = {
    da, dn, dt, pa, pn, pt, aa, an, at, device_since, address_since, address_days, counts,
    before, after, acts, streams, root or '', members, ties, crowd(values),
  }
end
local through = max(applied, tonumber(ARGV[3]))
if through > applied then
  call('SET', KEYS[1], number(through))
end
answer[1] = through
return answer
