-- The words of steps.py, for Redis. Runs a program on one account's numbers, all of it or nothing.
--
-- KEYS     one hash for each page; the first is the lasting page. All share one hash tag.
-- ARGV[1]  the time
-- ARGV[2]  tests, JSON: [[word, place of the page in KEYS, cell, a, b], ...]
-- ARGV[3]  changes, likewise; what is put is JSON text already
-- ARGV[4]  seconds that a day's page lives
-- Returns  {place of the failed test or -1, cells of each page, ...}

local now = tonumber(ARGV[1])

local function number(step)
  return tonumber(redis.call('HGET', KEYS[step[2]], step[3]) or '0')
end

local function answer(failed)
  local told = {failed}
  for place, key in ipairs(KEYS) do
    told[place + 1] = redis.call('HGETALL', key)
  end
  return told
end

for place, step in ipairs(cjson.decode(ARGV[2])) do
  local word, cell, a = step[1], number(step), step[4]
  if (word == 'shut' and cell > now)
      or (word == 'room' and cell + a > step[5])
      or (word == 'least' and cell < a) then
    return answer(place - 1)
  end
end

for _, step in ipairs(cjson.decode(ARGV[3])) do
  local word, key, cell, a = step[1], KEYS[step[2]], step[3], step[4]
  if word == 'add' then
    redis.call('HINCRBY', key, cell, a)
  elseif word == 'raise' then
    if a > number(step) then redis.call('HSET', key, cell, a) end
  elseif word == 'put' then
    redis.call('HSET', key, cell, a)
  else
    redis.call('HDEL', key, cell)
  end
  if step[2] > 1 and redis.call('TTL', key) < 0 then
    redis.call('EXPIRE', key, ARGV[4])
  end
end

return answer(-1)
