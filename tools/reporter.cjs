/**
 * Mocha's words: a line per suite while it runs, each failure in full, skipped tests with their reason's line printed by
 * the test itself. The counts go to the file named by NEPTUNE_TEST_RESULT; tools/test.mjs adds them up.
 */
'use strict'
const fs = require('node:fs')

/** Longer than this and a test of one process is worth a look. */
const SLOW_MS = 500

module.exports = class Reporter {
  constructor(runner) {
    this.counts = { passed: 0, failed: 0, skipped: 0 }
    this.suite = { title: '', passed: 0, began: 0 }
    runner.on('suite', (suite) => suite.parent?.root && this.begin(suite))
    runner.on('suite end', (suite) => suite.parent?.root && this.end())
    runner.on('pass', (test) => this.passed(test))
    runner.on('pending', (test) => this.skipped(test))
    runner.on('fail', (test, error) => this.failed(test, error))
    runner.once('end', () => this.write())
  }
  begin(suite) {
    this.suite = { title: suite.title, passed: 0, began: Date.now() }
  }
  end() {
    const { title, passed, began } = this.suite
    const ms = Date.now() - began
    if (passed > 0)
      console.log(`  ${String(passed).padStart(4)} ✓ ${title}${ms > SLOW_MS ? ` (${(ms / 1000).toFixed(1)} s)` : ''}`)
  }
  passed(test) {
    this.counts.passed++
    this.suite.passed++
    if (test.slow() > SLOW_MS && test.duration > test.slow())
      console.log(`       slow: ${test.title} ${test.duration} ms`)
  }
  skipped(test) {
    this.counts.skipped++
    console.log(`       skipped: ${test.fullTitle()}`)
  }
  failed(test, error) {
    this.counts.failed++
    console.log(`     ✗ ${test.fullTitle()}\n${indent(describe(error))}`)
    this.write()
  }
  write() {
    if (process.env.NEPTUNE_TEST_RESULT) fs.writeFileSync(process.env.NEPTUNE_TEST_RESULT, JSON.stringify(this.counts))
  }
}
const indent = (text) => text.replace(/^/gm, '         ')
function describe(error) {
  const compared = error.showDiff !== false && error.expected !== undefined && error.actual !== undefined
  const values = compared ? `\nexpected: ${show(error.expected)}\nactual:   ${show(error.actual)}` : ''
  return `${error.stack ?? error.message ?? String(error)}${values}`
}
function show(value) {
  return require('node:util').inspect(value, { depth: 6, maxStringLength: 4000, breakLength: 110 })
}
