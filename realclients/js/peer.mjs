// What people do with npm's mqtt, one function a habit: peer.mjs HABIT PORT WEBSOCKET_PORT.
// Each prints "ok" at its end, or fails with an assertion.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import mqtt from 'mqtt'

const [habit, port, wsPort] = process.argv.slice(2)
const tcp = `mqtt://127.0.0.1:${port}`
const ws = `ws://127.0.0.1:${wsPort}/mqtt`
const transports = [['tcp', tcp], ['ws', ws]]

// Inbox keeps the messages of a client until somebody asks for them.
class Inbox {
  constructor (client) {
    this.waiting = []
    this.readers = []
    client.on('message', (topic, payload, packet) => {
      const reader = this.readers.shift()
      if (reader) reader(packet)
      else this.waiting.push(packet)
    })
  }

  next () {
    if (this.waiting.length > 0) return Promise.resolve(this.waiting.shift())
    return new Promise(resolve => this.readers.push(resolve))
  }
}

async function connect (url, options = {}) {
  const client = mqtt.connect(url, { reconnectPeriod: 0, ...options })
  client.inbox = new Inbox(client)
  const [connack] = await once(client, 'connect')
  client.connack = connack
  return client
}

const habits = {
  // Every QoS over TCP and WebSocket with 3.1.1 and 5.0, in order.
  async qos () {
    for (const [name, url] of transports) {
      for (const protocolVersion of [4, 5]) {
        const c = await connect(url, { protocolVersion })
        for (const qos of [0, 1, 2]) {
          const topic = `${name}/${protocolVersion}/${qos}`
          const granted = await c.subscribeAsync(topic, { qos })
          assert.equal(granted[0].qos, qos)
          const sent = []
          for (let i = 0; i < 200; i++) sent.push(c.publishAsync(topic, String(i), { qos }))
          for (let i = 0; i < 200; i++) {
            const p = await c.inbox.next()
            assert.deepEqual([p.topic, p.payload.toString(), p.qos], [topic, String(i), qos])
          }
          await Promise.all(sent)
          await c.unsubscribeAsync(topic)
        }
        await c.endAsync()
      }
    }
  },

  // What one transport publishes, the other hears; half a MiB in one message.
  async across () {
    const a = await connect(tcp)
    const b = await connect(ws)
    const payload = Buffer.alloc(512 * 1024, 'abcdefg')
    await a.subscribeAsync('to/tcp', { qos: 1 })
    await b.subscribeAsync('to/ws', { qos: 1 })
    await Promise.all([a.publishAsync('to/ws', payload, { qos: 1 }), b.publishAsync('to/tcp', payload, { qos: 1 })])
    assert.ok(payload.equals((await a.inbox.next()).payload))
    assert.ok(payload.equals((await b.inbox.next()).payload))
    await a.endAsync()
    await b.endAsync()
  },

  // 5.0: properties, a subscription identifier, topic aliases that the library chooses, Maximum Packet Size.
  async properties () {
    for (const [, url] of transports) {
      const c = await connect(url, {
        protocolVersion: 5,
        clientId: '',
        properties: { topicAliasMaximum: 20, receiveMaximum: 5, sessionExpiryInterval: 10 },
        autoAssignTopicAlias: true
      })
      assert.ok(c.connack.properties.assignedClientIdentifier)
      await c.subscribeAsync('props/#', { qos: 2, properties: { subscriptionIdentifier: 9, userProperties: { why: 'test' } }, rap: true, rh: 1 })
      const properties = {
        payloadFormatIndicator: true,
        messageExpiryInterval: 100,
        contentType: 'text/plain',
        responseTopic: 'props/answer',
        correlationData: Buffer.from([0, 1, 255]),
        userProperties: { unit: ['°C', 'K'], room: 'hall' }
      }
      for (let i = 0; i < 30; i++) {
        await c.publishAsync(`props/${i % 3}`, String(i), { qos: 1, retain: i === 0, properties })
        const p = await c.inbox.next()
        assert.equal(p.payload.toString(), String(i))
        assert.equal(p.retain, i === 0)
        const q = p.properties
        assert.equal(q.subscriptionIdentifier, 9)
        assert.equal(q.payloadFormatIndicator, true)
        assert.equal(q.contentType, 'text/plain')
        assert.equal(q.responseTopic, 'props/answer')
        assert.deepEqual([...q.correlationData], [0, 1, 255])
        assert.deepEqual([...q.userProperties.unit], ['°C', 'K'])
        assert.ok(q.messageExpiryInterval <= 100)
      }
      await c.publishAsync('props/0', '', { qos: 1, retain: true })
      await c.endAsync()
    }
  },

  // A session that survives its connection; the library resends what was under way.
  async resume () {
    for (const protocolVersion of [4, 5]) {
      const who = { clientId: `js-keeper-${protocolVersion}`, clean: false, protocolVersion, properties: protocolVersion === 5 ? { sessionExpiryInterval: 60 } : undefined }
      let c = await connect(tcp, who)
      assert.equal(c.connack.sessionPresent, false)
      await c.subscribeAsync('mail', { qos: 1 })
      c.stream.destroy() // no DISCONNECT
      await once(c, 'close')
      const other = await connect(ws)
      for (let i = 0; i < 10; i++) await other.publishAsync('mail', String(i), { qos: 1 })
      c = await connect(tcp, who)
      assert.equal(c.connack.sessionPresent, true)
      for (let i = 0; i < 10; i++) assert.equal((await c.inbox.next()).payload.toString(), String(i))
      await c.endAsync()
      await other.endAsync()
    }
  },

  // The library's own reconnect after the connection broke: it subscribes again and goes on.
  async reconnect () {
    const c = await connect(ws, { reconnectPeriod: 10 })
    await c.subscribeAsync('again', { qos: 1 })
    const other = await connect(tcp)
    c.stream.destroy()
    await once(c, 'connect')
    await c.subscribeAsync('barrier')
    await other.publishAsync('again', 'there', { qos: 1 })
    assert.equal((await c.inbox.next()).payload.toString(), 'there')
    await c.endAsync()
    await other.endAsync()
  },

  // 5.0: a message that nobody hears says so; a client with the same identifier takes over with 0x8E.
  async reasons () {
    const c = await connect(tcp, { protocolVersion: 5, clientId: 'js-twin' })
    const packet = await c.publishAsync('nobody/listens', 'x', { qos: 1 })
    assert.ok([0, 16].includes(packet.reasonCode ?? 0))
    const told = once(c, 'disconnect')
    const twin = await connect(ws, { protocolVersion: 5, clientId: 'js-twin' })
    const [disconnect] = await told
    assert.equal(disconnect.reasonCode, 0x8e)
    c.end(true)
    await twin.endAsync()
  },

  // Node-RED: a fixed identifier, birth and will, one node that subscribes to everything, one that publishes what passes.
  async nodeRed () {
    const observer = await connect(tcp)
    await observer.subscribeAsync('nodered/status', { qos: 1 })
    for (const protocolVersion of [4, 5]) {
      const c = await connect(tcp, {
        clientId: 'nodered_1a2b3c4d5e6f7a8b',
        protocolId: 'MQTT',
        protocolVersion,
        keepalive: 60,
        clean: true,
        resubscribe: false,
        will: { topic: 'nodered/status', payload: Buffer.from('lost'), qos: 1, retain: true }
      })
      await c.publishAsync('nodered/status', 'up', { qos: 0, retain: true })
      assert.equal((await observer.inbox.next()).payload.toString(), 'up')
      const options = protocolVersion === 5 ? { qos: 2, nl: true, rap: true, rh: 0 } : { qos: 2 }
      await c.subscribeAsync(['shelly/#', 'zigbee2mqtt/+/availability'], options)
      await observer.publishAsync('shelly/relay/0/power', JSON.stringify({ apower: 12.5 }), { qos: 1 })
      const p = await c.inbox.next()
      assert.deepEqual(JSON.parse(p.payload), { apower: 12.5 })
      await c.publishAsync('nodered/copy', p.payload, { qos: 2, retain: false })
      c.stream.destroy() // the process was killed
      assert.equal((await observer.inbox.next()).payload.toString(), 'lost')
      c.end(true)
    }
    await observer.publishAsync('nodered/status', '', { qos: 1, retain: true })
    await observer.endAsync()
  }
}

if (habit === 'list') {
  console.log(Object.keys(habits).join('\n'))
} else {
  setTimeout(() => { console.error(`${habit}: nothing happens any more`); process.exit(1) }, 50000).unref()
  await habits[habit]()
  console.log('ok')
}
