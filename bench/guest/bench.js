// SPDX-License-Identifier: BSD-2-Clause
// What a JavaScript engine interprets first and compiles as it gets hot.
"use strict";

class Shape {
	constructor(n) {
		this.n = n;
	}
	area() {
		return this.n;
	}
}

class Square extends Shape {
	area() {
		return (this.n * this.n) % 1000;
	}
}

function objects(n) {
	const shapes = [];
	for (let i = 0; i < 1000; i++)
		shapes.push(i % 3 ? new Shape(i) : new Square(i));
	let sum = 0;
	for (let round = 0; round < n; round++)
		for (const s of shapes)
			sum = (sum + s.area()) | 0;
	return sum;
}

function matrix(n) {
	const a = new Float64Array(n * n), b = new Float64Array(n * n);
	for (let i = 0; i < n * n; i++) {
		a[i] = (i % 17) / 4;
		b[i] = (i % 13) / 8;
	}
	let sum = 0;
	for (let i = 0; i < n; i++)
		for (let k = 0; k < n; k++) {
			let c = 0;
			for (let j = 0; j < n; j++)
				c += a[i * n + j] * b[j * n + k];
			sum += c;
		}
	return sum.toFixed(3);
}

function strings(n) {
	const words = new Map();
	let text = "";
	for (let i = 0; i < n; i++)
		text += `w${(i * 7919) % 1009} `;
	for (const word of text.split(" "))
		words.set(word, (words.get(word) || 0) + 1);
	const entries = [...words].sort((a, b) => a[0] < b[0] ? -1 : 1);
	const again = JSON.parse(JSON.stringify(entries));
	return again.filter(([w]) => /^w\d?5\d*$/.test(w))
		.reduce((sum, [, count]) => sum + count, 0);
}

function generated(n) {
	let sum = 0;
	for (let i = 0; i < n; i++) {
		const f = new Function("x",
			`let s = 0; for (let k = 0; k < 200; k++) ` +
			`s = (s * ${i % 31} + x + k) % 65521; return s;`);
		sum += f(i);
	}
	return sum;
}

function* numbers(n) {
	for (let i = 0; i < n; i++)
		yield i * 3;
}

let sum = 0;
for (const i of numbers(300000))
	sum = (sum + i) % 1000003;
console.log(objects(10000), matrix(220), strings(100000), generated(2000), sum);
