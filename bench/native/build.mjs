/**
 * Builds the bank in C++, Rust, Java and Python, as far as their compilers are here.
 *
 * A program is built again when its source is newer than what was built, or when the compiler or
 * its options have changed: both stand in a `.stamp` file beside it. A program that
 * cannot be built is left out with one line on stderr; nothing has to be installed.
 *
 * Run directly it builds and lists: node bench/native/build.mjs [folder]
 */

import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify, stripVTControlCharacters } from 'node:util'

/**
 * @typedef {object} NativeProgram One variant that can be run.
 * @property {string} id Such as `cpp-ordered`.
 * @property {'C++' | 'Rust' | 'Java' | 'Python'} language
 * @property {string} variant
 * @property {string[]} command The program and its first arguments; more options may follow.
 * @property {string} version What compiled or runs it, in its own words.
 */

/**
 * @typedef {object} LeftOut One variant that cannot be run here.
 * @property {string} id
 * @property {string} reason
 */

/**
 * @typedef {object} Built
 * @property {NativeProgram[]} programs
 * @property {LeftOut[]} leftOut
 */

/**
 * @typedef {object} Runnable What building one source gives.
 * @property {string[]} command
 * @property {string} version
 */

/**
 * @typedef {object} Part Variants that are built together.
 * @property {string} prefix The first part of their ids.
 * @property {'C++' | 'Rust' | 'Java' | 'Python'} language
 * @property {string[]} variants
 * @property {(outDir: string) => Promise<Runnable>} build Throws with the reason to leave them out.
 */

const run = promisify(execFile)
const here = path.dirname(fileURLToPath(import.meta.url))
const defaultOutDir = path.join(here, '../../node_modules/.cache/lockwise-native')

/** Where Debian's librust-*-dev packages put their sources. */
const crates = '/usr/share/cargo/registry'

/** @type {Part[]} */
const parts = [
  {
    prefix: 'cpp',
    language: 'C++',
    variants: ['scoped_lock', 'ordered', 'futex', 'global'],
    build: buildCpp,
  },
  { prefix: 'rust', language: 'Rust', variants: ['ordered'], build: buildRust },
  { prefix: 'rust', language: 'Rust', variants: ['parking_lot'], build: buildParkingLot },
  { prefix: 'java', language: 'Java', variants: ['ordered'], build: buildJava },
  { prefix: 'python', language: 'Python', variants: ['global', 'ordered'], build: findPython },
]

/**
 * Builds what can be built. Never throws for a compiler that is missing or fails.
 * @param {string} [outDir] Where to build; default: `node_modules/.cache/lockwise-native`.
 * @returns {Promise<Built>}
 */
export async function buildNative(outDir = defaultOutDir) {
  const folder = path.resolve(outDir)
  /** @type {Built} */
  const built = { programs: [], leftOut: [] }
  for (const { prefix, language, variants, build } of parts) {
    const named = variants.map((variant) => ({ id: `${prefix}-${variant}`, variant }))
    try {
      if (process.platform !== 'linux') throw new Error('these programs need Linux')
      const { command, version } = await build(folder)
      for (const { id, variant } of named) {
        built.programs.push({
          id,
          language,
          variant,
          command: [...command, '--variant', variant],
          version,
        })
      }
    } catch (error) {
      const reason = reasonOf(error)
      for (const { id } of named) {
        built.leftOut.push({ id, reason })
        process.stderr.write(`native: LEFT OUT ${id}: ${reason}\n`)
      }
    }
  }
  return built
}

/**
 * @param {string} outDir
 * @returns {Promise<Runnable>}
 */
async function buildCpp(outDir) {
  const compiler = await firstOf('a C++ compiler', ['g++', 'c++', 'clang++'])
  const source = path.join(here, 'bank.cpp')
  const output = path.join(outDir, 'bank-cpp')
  const options = ['-O3', '-std=c++20', '-march=native', '-pthread', '-Wall', '-Wextra']
  await refresh(source, output, compiler.version, [
    compiler.program,
    ...options,
    source,
    '-o',
    output,
  ])
  return { command: [output], version: compiler.version }
}

/**
 * @param {string} outDir
 * @returns {Promise<Runnable>}
 */
async function buildRust(outDir) {
  const { version } = await firstOf('a Rust compiler', ['rustc'])
  const source = path.join(here, 'bank.rs')
  const output = path.join(outDir, 'bank-rust')
  const options = ['--edition=2021', '-Copt-level=3', '-Ctarget-cpu=native']
  await refresh(source, output, version, ['rustc', ...options, source, '-o', output])
  return { command: [output], version }
}

/**
 * Builds with cargo, offline, from the sources of Debian's package.
 * @param {string} outDir
 * @returns {Promise<Runnable>}
 */
async function buildParkingLot(outDir) {
  const cargo = await firstOf('cargo', ['cargo'])
  const compiler = await firstOf('a Rust compiler', ['rustc'])
  const names = await readdir(crates).catch(() => /** @type {string[]} */ ([]))
  const crate = names.find((name) => /^parking_lot-\d/.test(name))
  if (crate === undefined) {
    throw new Error(`no parking_lot in ${crates} (Debian: apt-get install librust-parking-lot-dev)`)
  }
  const source = path.join(here, 'bank.rs')
  const folder = path.join(outDir, 'bank-parking-lot')
  const target = path.join(folder, 'target')
  const output = path.join(target, 'release/bank')
  await mkdir(path.join(folder, '.cargo'), { recursive: true })
  await writeFile(path.join(folder, 'Cargo.toml'), cargoManifest(source))
  await writeFile(path.join(folder, '.cargo/config.toml'), cargoConfig)
  const version = `${compiler.version}, ${crate.replace('parking_lot-', 'parking_lot ')}`
  const command = ['cargo', 'build', '--quiet', '--release', '--offline', '--target-dir', target]
  // An earlier lock file may name crate versions that are no longer there.
  await refresh(source, output, `${cargo.version}, ${version}`, command, {
    cwd: folder,
    env: { ...process.env, RUSTFLAGS: '-Ctarget-cpu=native' },
    before: () => rm(path.join(folder, 'Cargo.lock'), { force: true }),
  })
  return { command: [output], version }
}

/**
 * @param {string} source
 * @returns {string}
 */
function cargoManifest(source) {
  return `[package]
name = "bank"
version = "0.0.0"
edition = "2021"

[[bin]]
name = "bank"
path = ${JSON.stringify(source)}

[dependencies]
parking_lot = { version = "0.12", optional = true }

[features]
default = ["parking_lot"]

[workspace]
`
}

const cargoConfig = `[source.crates-io]
replace-with = "debian"

[source.debian]
directory = ${JSON.stringify(crates)}
`

/**
 * @param {string} outDir
 * @returns {Promise<Runnable>}
 */
async function buildJava(outDir) {
  await firstOf('a Java compiler', ['javac'])
  const { version } = await firstOf('a Java runtime', ['java'])
  const source = path.join(here, 'Bank.java')
  const folder = path.join(outDir, 'java')
  const command = ['javac', '-Xlint:all', '-d', folder, source]
  await refresh(source, path.join(folder, 'Bank.class'), version, command)
  return { command: ['java', '-cp', folder, 'Bank'], version }
}

/** @returns {Promise<Runnable>} */
async function findPython() {
  const { program, version } = await firstOf('Python 3', ['python3'])
  return { command: [program, path.join(here, 'bank.py')], version }
}

/**
 * The first of some programs that runs, and the first line of its `--version`.
 * @param {string} what
 * @param {string[]} candidates
 * @returns {Promise<{ program: string, version: string }>}
 */
async function firstOf(what, candidates) {
  for (const program of candidates) {
    try {
      const { stdout } = await run(program, ['--version'])
      return { program, version: firstLine(stdout) }
    } catch {
      // Not here, or broken: try the next.
    }
  }
  throw new Error(`${what} is missing (tried ${candidates.join(', ')})`)
}

/**
 * Runs `command` unless `output` is there, not older than `source`, and made by the same command of
 * the same version. The compiler's output goes to stderr.
 * @param {string} source
 * @param {string} output
 * @param {string} version
 * @param {string[]} command
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, before?: () => Promise<void> }} [options]
 */
async function refresh(source, output, version, command, { before, ...options } = {}) {
  const stampFile = `${output}.stamp`
  const stamp = `${version}\n${command.join(' ')}\n`
  const stamped = await readFile(stampFile, 'utf8').catch(() => '')
  if (stamped === stamp && (await changedMs(output)) >= (await changedMs(source))) return
  await mkdir(path.dirname(output), { recursive: true })
  await rm(output, { force: true })
  await before?.()
  const [program = '', ...words] = command
  const { stdout, stderr } = await run(program, words, options)
  process.stderr.write(stdout + stderr)
  await writeFile(stampFile, stamp)
}

/**
 * @param {string} file
 * @returns {Promise<number>} When it was last written; 0 if it is not there.
 */
async function changedMs(file) {
  const found = await stat(file).catch(() => undefined)
  return found?.mtimeMs ?? 0
}

/**
 * One line that says why a build failed: the compiler's first error, if it wrote one.
 * @param {unknown} error
 * @returns {string}
 */
function reasonOf(error) {
  if (!(error instanceof Error)) return String(error)
  const written = 'stderr' in error ? stripVTControlCharacters(String(error.stderr)) : ''
  const complaint = written.split('\n').find((line) => /error/i.test(line)) ?? written
  return firstLine(complaint) || firstLine(error.message)
}

/**
 * @param {string} text
 * @returns {string}
 */
function firstLine(text) {
  return text.trim().split('\n')[0]?.trim() ?? ''
}

/** @param {Built} built */
function print({ programs, leftOut }) {
  const width = Math.max(...[...programs, ...leftOut].map(({ id }) => id.length))
  const versionWidth = Math.max(0, ...programs.map(({ version }) => version.length))
  for (const { id, version, command } of programs) {
    console.log(`${id.padEnd(width)}  ${version.padEnd(versionWidth)}  ${command.join(' ')}`)
  }
  for (const { id, reason } of leftOut) console.log(`${id.padEnd(width)}  left out: ${reason}`)
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  print(await buildNative(process.argv[2]))
}
