// Just enough MQTT 3.1.1 for the flow: connect, subscribe, publish with QoS 1, count what arrives.
import net from "node:net";

const text = (value) => {
  const bytes = Buffer.from(value, "utf8");
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
};

function packet(type, ...parts) {
  const body = Buffer.concat(parts);
  const length = [];
  let rest = body.length;
  do {
    length.push((rest % 128) | (rest >= 128 ? 128 : 0));
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return Buffer.concat([Buffer.from([type, ...length]), body]);
}

/** @param {{address: string, clientId: string, username?: string, password?: string}} options */
export async function mqtt({ address, clientId, username, password }) {
  const [host, port] = address.split(/:(?=\d+$)/);
  const socket = net.connect({ host, port: Number(port) });
  const waiting = new Map();
  const received = [];
  let buffer = Buffer.alloc(0);
  let identifier = 0;
  socket.on("error", (error) => {
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  });
  socket.on("data", (data) => {
    buffer = Buffer.concat([buffer, data]);
    for (;;) {
      let at = 1;
      let length = 0;
      let shift = 0;
      let byte;
      do {
        if (at >= buffer.length) return;
        byte = buffer[at++];
        length |= (byte & 127) << shift;
        shift += 7;
      } while (byte & 128);
      if (buffer.length < at + length) return;
      take(buffer[0], buffer.subarray(at, at + length));
      buffer = buffer.subarray(at + length);
    }
  });
  function take(head, body) {
    const type = head >> 4;
    if (type === 3) {
      const end = 2 + body.readUInt16BE(0);
      const qos = (head >> 1) & 3;
      received.push(body.subarray(2, end).toString("utf8"));
      if (qos === 1) socket.write(packet(0x40, body.subarray(end, end + 2)));
      return;
    }
    if (type === 13) return;
    const key = type === 2 ? "connack" : `${type}:${body.readUInt16BE(0)}`;
    waiting.get(key)?.resolve(body);
    waiting.delete(key);
  }
  const answer = (key) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no MQTT answer ${key} from ${address}`)), 10_000);
      const settle = (how) => (value) => {
        clearTimeout(timer);
        how(value);
      };
      waiting.set(key, { resolve: settle(resolve), reject: settle(reject) });
    });
  const flags = 2 | (username ? 0x80 : 0) | (password ? 0x40 : 0);
  const connected = answer("connack");
  socket.write(
    packet(0x10, text("MQTT"), Buffer.from([4, flags, 0, 60]), text(clientId), ...(username ? [text(username)] : []), ...(password ? [text(password)] : [])),
  );
  const code = (await connected)[1];
  if (code !== 0) throw new Error(`${address} refuses the MQTT connection: ${code}`);
  const next = () => {
    identifier = (identifier % 65535) + 1;
    return Buffer.from([identifier >> 8, identifier & 255]);
  };
  const pings = setInterval(() => socket.write(packet(0xc0)), 20_000);
  return {
    received,
    async subscribe(filter) {
      const id = next();
      const done = answer(`9:${id.readUInt16BE(0)}`);
      socket.write(packet(0x82, id, text(filter), Buffer.from([1])));
      const granted = (await done)[2];
      if (granted > 2) throw new Error(`${address} refuses the subscription to ${filter}`);
    },
    async publish(topic, payload) {
      const id = next();
      const done = answer(`4:${id.readUInt16BE(0)}`);
      socket.write(packet(0x32, text(topic), id, Buffer.from(payload)));
      await done;
    },
    end() {
      clearInterval(pings);
      socket.end(packet(0xe0));
    },
  };
}
