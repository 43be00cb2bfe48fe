-- The words of steps.py, for Redis. Runs a program on one account's numbers, all of it or nothing.
--
-- KEYS     one hash for each page; the first is the lasting page. All share one hash tag.
-- ARGV[1]  the time
-- ARGV[2]  tests, JSON: [[word, place of the page in KEYS, cell, a, b], ...]
-- ARGV[3]  changes, likewise; what is put is JSON text already
-- ARGV[4]  seconds that a day's page lives
-- Returns  {place of the failed test or -1, cells of each page, ...}

local now = tonumber(ARGV[1])

local function number(page, cell)
  return tonumber(redis.call('HGET', KEYS[page], cell) or '0')
end

local function answer(failed)
  local found = {failed}
  for place, key in ipairs(KEYS) do
    found[place + 1] = redis.call('HGETALL', key)
  end
  return found
end

for place, step in ipairs(cjson.decode(ARGV[2])) do
  local word, page, a, b = step[1], step[2], step[4], step[5]
  local cell = number(page, step[3])
  if (word == 'at_most' and cell + a > b)
      or (word == 'not_before' and cell > now and number(page, b) <= a)
      or (word == 'same' and cell ~= a)
      or (word == 'at_least' and cell < a) then
    return answer(place - 1)
  end
end

for _, step in ipairs(cjson.decode(ARGV[3])) do
  local word, page, cell, a = step[1], step[2], step[3], step[4]
  local key = KEYS[page]
  if word == 'add' then
    if redis.call('HINCRBY', key, cell, a) < 0 then redis.call('HSET', key, cell, 0) end
  elseif word == 'settle' then
    if redis.call('HINCRBY', key, cell, a) <= 0 then redis.call('HDEL', key, cell) end
  elseif word == 'raise' then
    if a > number(page, cell) then redis.call('HSET', key, cell, a) end
  elseif word == 'put' then
    redis.call('HSET', key, cell, a)
  else
    redis.call('HDEL', key, cell)
  end
  if page > 1 and redis.call('TTL', key) < 0 then
    redis.call('EXPIRE', key, ARGV[4])
  end
end

return answer(-1)
