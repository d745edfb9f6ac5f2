// MQTT.js over WebSocket against a real node: `mqttjs_client.mjs URL 3.1.1|5.0`; ends with 0 when
// all is well. Each scenario uses topics of its own, so that one node serves both versions.

import assert from 'node:assert/strict'
import mqtt from 'mqtt'

const WAIT_MS = 15_000
const [url, version] = process.argv.slice(2)
const v5 = version === '5.0'
const prefix = `mqttjs/${version}`

/** A connected client; what it receives waits in a list. */
class Peer {
  static async connect(name, { persistent = false, will } = {}) {
    const properties = v5 && persistent ? { sessionExpiryInterval: 600 } : undefined
    const peer = new Peer()
    peer.messages = []
    peer.waiting = []
    peer.client = mqtt.connect(url, {
      clientId: `${prefix}/${name}`, protocolVersion: v5 ? 5 : 4, clean: !persistent, properties,
      will, reconnectPeriod: 0, connectTimeout: WAIT_MS,
    })
    peer.client.on('message', (topic, payload, packet) => {
      const message = { topic, payload: payload.toString(), packet }
      const taker = peer.waiting.shift()
      if (taker) taker(message)
      else peer.messages.push(message)
    })
    const connack = await limited(new Promise((resolve, reject) => {
      peer.client.once('connect', resolve)
      peer.client.once('error', reject)
    }), `CONNACK for ${name}`)
    peer.sessionPresent = connack.sessionPresent
    return peer
  }

  async subscribe(topic, qos) {
    const [granted] = await limited(this.client.subscribeAsync(topic, { qos }), `SUBACK ${topic}`)
    assert.equal(granted.qos, qos)
  }

  publish(topic, payload, qos, more = {}) {
    const done = this.client.publishAsync(topic, payload, { qos, ...more })
    return limited(done, `acknowledgement of ${topic}`)
  }

  message() {
    const next = this.messages.shift()
    if (next) return Promise.resolve(next)
    return limited(new Promise((resolve) => this.waiting.push(resolve)), 'a message')
  }

  stop() {
    return limited(this.client.endAsync(), 'the end of the connection')
  }

  /** Ends the connection without DISCONNECT. */
  drop() {
    this.client.stream.destroy()
    return limited(this.client.endAsync(true), 'the end of the connection')
  }
}

function limited(promise, what) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} after ${WAIT_MS} ms`)), WAIT_MS)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

async function peers(...names) {
  return Promise.all(names.map((name) => Peer.connect(name)))
}

async function stopAll(...all) {
  await Promise.all(all.map((peer) => peer.stop()))
}

async function allQualitiesOfService() {
  const [subscriber, publisher] = await peers('sub', 'pub')
  for (const granted of [0, 1, 2]) {
    const topic = `${prefix}/qos/${granted}`
    await subscriber.subscribe(topic, granted)
    for (const sent of [0, 1, 2]) {
      await publisher.publish(topic, `${sent}`, sent)
      const { topic: got, payload, packet } = await subscriber.message()
      assert.deepEqual(
        [got, payload, packet.qos, packet.retain],
        [topic, `${sent}`, Math.min(sent, granted), false],
      )
    }
  }
  await stopAll(subscriber, publisher)
}

async function largePayloads() {
  const [subscriber, publisher] = await peers('sub', 'pub')
  await subscriber.subscribe(`${prefix}/large`, 1)
  for (const size of [125, 126, 65_535, 65_536, 900_000]) {
    await publisher.publish(`${prefix}/large`, 'x'.repeat(size), 1)
    assert.equal((await subscriber.message()).payload.length, size)
  }
  await stopAll(subscriber, publisher)
}

async function retainedMessages() {
  const [publisher, late, later] = await peers('pub', 'late', 'later')
  await publisher.publish(`${prefix}/state`, 'on', 1, { retain: true })
  await late.subscribe(`${prefix}/state`, 1)
  const { payload, packet } = await late.message()
  assert.deepEqual([payload, packet.retain], ['on', true])
  await publisher.publish(`${prefix}/state`, '', 1, { retain: true })
  assert.equal((await late.message()).payload, '')
  await later.subscribe(`${prefix}/#`, 1)
  await publisher.publish(`${prefix}/other`, 'x', 1)
  assert.equal((await later.message()).topic, `${prefix}/other`)
  await stopAll(publisher, late, later)
}

async function aWill() {
  const watcher = await Peer.connect('watcher')
  await watcher.subscribe(`${prefix}/will`, 1)
  const will = { topic: `${prefix}/will`, payload: Buffer.from('gone'), qos: 1, retain: false }
  const mortal = await Peer.connect('mortal', { will })
  await mortal.drop()
  assert.equal((await watcher.message()).payload, 'gone')
  await watcher.stop()
}

async function sharedSubscriptions() {
  const members = await peers('member-1', 'member-2')
  for (const member of members) await member.subscribe(`$share/group/${prefix}/job/+`, 1)
  const publisher = await Peer.connect('pub')
  const numbers = Array.from({ length: 20 }, (_, number) => number)
  for (const number of numbers) await publisher.publish(`${prefix}/job/1`, `${number}`, 1)
  const end = Date.now() + WAIT_MS
  const count = () => members[0].messages.length + members[1].messages.length
  while (count() < numbers.length && Date.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const got = members.flatMap((member) => member.messages.map(({ payload }) => Number(payload)))
  assert.deepEqual(got.sort((a, b) => a - b), numbers)
  assert.ok(members.every((member) => member.messages.length > 0), 'one member got everything')
  await stopAll(...members, publisher)
}

async function aPersistentSession() {
  let keeper = await Peer.connect('keeper', { persistent: true })
  assert.equal(keeper.sessionPresent, false)
  await keeper.subscribe(`${prefix}/kept`, 2)
  await keeper.stop()
  const publisher = await Peer.connect('pub')
  const numbers = Array.from({ length: 10 }, (_, number) => number)
  for (const number of numbers) await publisher.publish(`${prefix}/kept`, `${number}`, 2)
  keeper = await Peer.connect('keeper', { persistent: true })
  assert.equal(keeper.sessionPresent, true)
  const got = []
  while (got.length < numbers.length) got.push(Number((await keeper.message()).payload))
  assert.deepEqual(got, numbers)
  await stopAll(keeper, publisher)
}

const scenarios = [
  allQualitiesOfService, largePayloads, retainedMessages, aWill, sharedSubscriptions,
  aPersistentSession,
]
for (const scenario of scenarios) {
  console.log(scenario.name)
  await scenario()
}
