-- SPDX-License-Identifier: BSD-2-Clause
-- What LuaJIT compiles, and what it interprets: floating point on tables,
-- integers in arrays, strings, closures, garbage.

local function bodies(n)
	local b = {}
	for i = 1, 5 do
		b[i] = { x = i * 1.25, y = 4 - i, z = i / 7, vx = 0.01 * i,
			vy = 0.02, vz = -0.01 * i, m = 1 / i }
	end
	for _ = 1, n do
		for i = 1, 5 do
			local p = b[i]
			for k = i + 1, 5 do
				local q = b[k]
				local x, y, z = p.x - q.x, p.y - q.y, p.z - q.z
				local d = x * x + y * y + z * z + 0.01
				local f = 0.001 / (d * math.sqrt(d))
				p.vx = p.vx - x * q.m * f
				p.vy = p.vy - y * q.m * f
				p.vz = p.vz - z * q.m * f
				q.vx = q.vx + x * p.m * f
				q.vy = q.vy + y * p.m * f
				q.vz = q.vz + z * p.m * f
			end
		end
		for i = 1, 5 do
			local p = b[i]
			p.x = p.x + 0.001 * p.vx
			p.y = p.y + 0.001 * p.vy
			p.z = p.z + 0.001 * p.vz
		end
	end
	local sum = 0
	for i = 1, 5 do
		sum = sum + b[i].x * i + b[i].vy
	end
	return sum
end

local function sieve(n)
	local composite, count = {}, 0
	for i = 2, n do
		if not composite[i] then
			count = count + 1
			for k = i * i, n, i do
				composite[k] = true
			end
		end
	end
	return count
end

local function strings(n)
	local words, parts = {}, {}
	for i = 1, n do
		local word = string.format("w%d", (i * 7919) % 1009)
		words[word] = (words[word] or 0) + 1
		parts[#parts + 1] = word
	end
	local text, longer = table.concat(parts, " "), 0
	for word in text:gmatch("%w+") do
		if #word > 3 then
			longer = longer + words[word]
		end
	end
	return longer
end

local function sorted(n)
	local t, x = {}, 1
	for i = 1, n do
		x = (x * 16807) % 2147483647
		t[i] = x
	end
	table.sort(t, function(a, b) return a % 65536 < b % 65536 or
		(a % 65536 == b % 65536 and a < b) end)
	return t[1] + t[n / 2] + t[n]
end

local function trees(depth)
	if depth == 0 then
		return { 1 }
	end
	return { trees(depth - 1), trees(depth - 1) }
end

local function count(tree)
	if tree[2] == nil then
		return 1
	end
	return 1 + count(tree[1]) + count(tree[2])
end

print(string.format("%.9f", bodies(400000)))
print(sieve(2000000))
print(strings(100000))
print(sorted(60000))
local n = 0
for _ = 1, 6 do
	n = n + count(trees(14))
end
print(n)
