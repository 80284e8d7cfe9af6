// The site under test, and a proxy that cuts what passes through it.
import net from "node:net";

export const site = process.env.SITE;
export const path = `/v1/stream/t${process.pid}-${Math.random().toString(36).slice(2)}`;
export const address = (name) => `${site}${path}-${name}`;

const JSON_TYPE = { "Content-Type": "application/json" };

export async function put(name) {
  const response = await fetch(address(name), { method: "PUT", headers: JSON_TYPE });
  if (response.status !== 201) throw new Error(`PUT: ${response.status}`);
  return address(name);
}

export const post = (url, data, headers = {}) =>
  fetch(url, {
    method: "POST",
    headers: { ...JSON_TYPE, ...headers },
    body: data === undefined ? undefined : JSON.stringify(data),
  });

export const close = (url) => post(url, undefined, { "Stream-Closed": "true" });

// `cut()` ends every connection that is open through it.
export async function proxy() {
  const target = new URL(site);
  const open = new Set();
  const server = net.createServer((inside) => {
    const outside = net.connect(Number(target.port), target.hostname);
    for (const socket of [inside, outside]) {
      open.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        open.delete(socket);
        inside.destroy();
        outside.destroy();
      });
    }
    inside.pipe(outside).pipe(inside);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    through: (url) => url.replace(site, `http://127.0.0.1:${server.address().port}`),
    cut: () => open.forEach((socket) => socket.destroy()),
    end: () => {
      open.forEach((socket) => socket.destroy());
      server.close();
    },
  };
}

export async function until(condition) {
  for (let tries = 0; tries < 200; tries++) {
    if (await condition()) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error("waited in vain");
}
