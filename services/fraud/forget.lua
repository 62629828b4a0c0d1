-- Takes one account out of some of a tenant's keys. Idempotent.
--
-- KEYS[1] applied-through, whose hash tag every other key shares.
-- ARGV[1] prefix of keys   ARGV[2] account   ARGV[3] ids of its events (JSON)   ARGV[4] keys to look at (JSON)
-- ARGV[5] '1': leave the component, too
-- Answer: entries taken out.

local call = redis.call
local prefix, user = ARGV[1], ARGV[2]
local taken = 0

local root = call('GET', prefix .. 'c:' .. user)
for _, key in ipairs(cjson.decode(ARGV[4])) do
  local kind = call('TYPE', key).ok
  if kind == 'hash' then
    local removed = call('HDEL', key, user)
    if removed > 0 then
      taken = taken + removed
      local left = call('HLEN', key)
      -- The field without a name is the marker of a set that overflowed.
      if left == 0 or (left == 1 and call('HEXISTS', key, '') == 1) then
        call('DEL', key)
        if root then
          call('SREM', prefix .. 'r:' .. root, string.sub(key, #prefix + 1))
        end
      end
    end
  elseif kind == 'zset' then
    taken = taken + call('ZREM', key, user)
    for _, event in ipairs(cjson.decode(ARGV[3])) do
      taken = taken + call('ZREM', key, event)
    end
  end
end

if ARGV[5] == '1' then
  if root then
    call('SREM', prefix .. 'm:' .. root, user)
    local members = call('SMEMBERS', prefix .. 'm:' .. root)
    if #members == 0 then
      call('DEL', prefix .. 'm:' .. root, prefix .. 'r:' .. root, prefix .. 'z:' .. root)
    elseif root == user then
      table.sort(members)
      for _, kind in ipairs({'m:', 'r:', 'z:'}) do
        if call('EXISTS', prefix .. kind .. root) == 1 then
          call('RENAME', prefix .. kind .. root, prefix .. kind .. members[1])
        end
      end
      for _, member in ipairs(members) do
        call('SET', prefix .. 'c:' .. member, members[1], 'KEEPTTL')
      end
    end
  end
  for _, kind in ipairs({'a:', 'c:', 'l:', 'k:', 't:', 'x:', 'v:', 'w:fa:', 'w:fw:', 'w:xa:', 'w:xc:'}) do
    taken = taken + call('DEL', prefix .. kind .. user)
  end
end
return taken
