-- Applies a batch of sightings to one tenant's sets and answers what was known before each: the rules of
-- services/fraud/memory.py, in one round trip and atomically.
--
-- KEYS[1] applied-through of all tenants; every other key shares its hash tag.
-- ARGV[1] prefix of keys   ARGV[2] committed through, ms   ARGV[3] applied through afterwards, ms
-- ARGV[4] limits (JSON)    ARGV[5] sightings (JSON, rows of [event, user, device, payment, address, household,
--         time ms, failed 0/1, place as hex, priority])
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
      call('SET', prefix .. 'c:' .. account, mine, 'PX', limits.edge_retention)
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
  call('PEXPIRE', prefix .. 'c:' .. user, limits.edge_retention)
  call('PEXPIRE', prefix .. 'c:' .. other, limits.edge_retention)
  for _, kind in ipairs({'m:', 'r:', 'z:'}) do
    call('PEXPIRE', prefix .. kind .. mine, limits.edge_retention)
  end
end

-- Alive and kept accounts beside the asking one, and the marker (-1: none).
local function edge(kind, resource, user, time, prio)
  local key = prefix .. kind .. ':' .. resource
  local values, count, marker = split(call('HGETALL', key))
  local day = floor(time / DAY)
  local since = time - limits.edge_window
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
  if mine then
    others = count - 1
    local first, last, days = match(mine, '^(%d+),(%d+),(%d+)')
    first, last, days = tonumber(first), tonumber(last), tonumber(days)
    if time >= last then
      local shift = day - floor(last / DAY)
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
    call('HSET', key, user, number(first) .. ',' .. number(last) .. ',' .. number(days) .. ',' .. number(prio))
  else
    local value = number(time) .. ',' .. number(time) .. ',1,' .. number(prio)
    if not marker and count < limits.degree_cap then
      call('HSET', key, user, value)
      if other then
        tie(user, other, kind .. ':' .. resource, count == 1 and 2 or 1)
      end
    else
      into_full(key, values, marker, user, value, prio)
    end
  end
  call('PEXPIRE', key, limits.edge_retention)
  return alive, others, marker or -1
end

local function address_accounts(address, user, time, prio)
  local day = floor(time / DAY)
  local key = prefix .. 'h:' .. number(day) .. ':' .. address
  local today, count, marker = split(call('HGETALL', key))
  local yesterday, before, before_marker =
    split(call('HGETALL', prefix .. 'h:' .. number(day - 1) .. ':' .. address))
  local alive = 0
  local since = time - limits.address_window
  for account, value in pairs(yesterday) do
    if account ~= user and not today[account] and tonumber(match(value, '^(%d+)')) > since then
      alive = alive + 1
    end
  end
  local others = count - (today[user] and 1 or 0)
  local value = number(time) .. ',' .. number(prio)
  if today[user] then
    if time > tonumber(match(today[user], '^(%d+)')) then
      call('HSET', key, user, value)
    end
  elseif not marker and count < limits.degree_cap then
    call('HSET', key, user, value)
  else
    into_full(key, today, marker, user, value, prio)
  end
  call('PEXPIRE', key, limits.address_retention)
  return others, marker or -1, alive, before - (yesterday[user] and 1 or 0), before_marker or -1
end

local function count_window(key, time, excluded)
  local since = time - limits.failure_window
  local total = call('ZCOUNT', key, '(' .. number(since), '+inf')
  if total > 0 then
    local known = call('ZSCORE', key, excluded)
    if known and tonumber(known) > since then
      total = total - 1
    end
  end
  return total
end

local function add_to_window(key, member, time)
  call('ZADD', key, 'GT', number(time), member)
  local newest = call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  call('ZREMRANGEBYSCORE', key, '-inf', number(tonumber(newest[2]) - limits.failure_window))
  call('ZREMRANGEBYRANK', key, 0, -(limits.window_cap + 1))
  call('PEXPIRE', key, limits.failure_retention)
end

local function account(user, time, address, household, place)
  local key = prefix .. 'a:' .. user
  if address ~= '' or household ~= '' then
    local known = call('HMGET', key, 'at', 'a', 'ht', 'h')
    local at, ht = tonumber(known[1] or '0'), tonumber(known[3] or '0')
    if address ~= '' and (time > at or (time == at and address > (known[2] or ''))) then
      call('HSET', key, 'at', number(time), 'a', address)
    end
    if household ~= '' and (time > ht or (time == ht and household > (known[4] or ''))) then
      call('HSET', key, 'ht', number(time), 'h', household)
    end
    call('PEXPIRE', key, limits.edge_retention)
  end
  if place == '' then
    return '', ''
  end
  key = prefix .. 's:' .. user
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
  call('PEXPIRE', key, limits.edge_retention)
  return before, after
end

local answer = {applied}
for i, item in ipairs(cjson.decode(ARGV[5])) do
  local event, user, device, payment, address, household, time, failed, place, prio = unpack(item)
  local root = root_of(user)
  local members, ties = 0, 0
  if root then
    members = call('SCARD', prefix .. 'm:' .. root)
    ties = tonumber(call('GET', prefix .. 'z:' .. root) or '0')
    call('PEXPIRE', prefix .. 'c:' .. user, limits.edge_retention)
    for _, kind in ipairs({'m:', 'r:', 'z:'}) do
      call('PEXPIRE', prefix .. kind .. root, limits.edge_retention)
    end
  end
  local da, dn, dt = edge('d', device, user, time, prio)
  local pa, pn, pt = 0, 0, -1
  if payment ~= '' then
    pa, pn, pt = edge('p', payment, user, time, prio)
  end
  local to, tt, ya, yn, yt = 0, -1, 0, 0, -1
  if address ~= '' then
    to, tt, ya, yn, yt = address_accounts(address, user, time, prio)
  end
  local before, after = account(user, time, address, household, place)
  local account_failures = count_window(prefix .. 'fa:' .. user, time, event)
  local device_failures = count_window(prefix .. 'fd:' .. device, time, event)
  local address_failures, failed_accounts = 0, 0
  if address ~= '' then
    address_failures = count_window(prefix .. 'fi:' .. address, time, event)
    if address_failures > 0 then
      failed_accounts = count_window(prefix .. 'fu:' .. address, time, user)
    end
  end
  if failed == 1 then
    add_to_window(prefix .. 'fa:' .. user, event, time)
    add_to_window(prefix .. 'fd:' .. device, event, time)
    if address ~= '' then
      add_to_window(prefix .. 'fi:' .. address, event, time)
      add_to_window(prefix .. 'fu:' .. address, user, time)
    end
  end
  answer[i + 1] = {
    da, dn, dt, pa, pn, pt, to, tt, ya, yn, yt,
    account_failures, address_failures, device_failures, failed_accounts,
    before, after, root or '', members, ties,
  }
end
local through = max(applied, tonumber(ARGV[3]))
if through > applied then
  call('SET', KEYS[1], number(through))
end
answer[1] = through
return answer
