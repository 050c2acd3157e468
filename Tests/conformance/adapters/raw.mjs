// An example: a small client for Node, written from protocol.md alone, and its adapter.
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import readline from "node:readline";

const can = "owners update lease note bytes nul cancel validate events";
const say = (fields) => process.stdout.write(JSON.stringify(fields) + "\n");
const grants = new Map(), requests = new Map();
let session, tags = 0, quiet = 750;

// ---- The client: one session for all owners; each line of the daemon goes where its first byte says.

// Node cannot ask who serves (SO_PEERCRED), so it trusts a path that only root, its own user and PRWLOCK_SERVER_UID could make.
function isTrusted(place) {
    const users = [0, process.geteuid(), Number(process.env.PRWLOCK_SERVER_UID ?? 0)];
    const { uid, mode } = fs.lstatSync(place);
    const isOpen = (mode & 0o170000) === 0o040000 && (mode & 0o022) !== 0 && (mode & 0o1000) === 0;
    return users.includes(uid) && !isOpen && (mode & 0o170000) !== 0o120000 &&
        (place === "/" || isTrusted(path.dirname(place)));
}

function connect() {
    const place = process.env.PRWLOCK_SOCKET;
    if (fs.existsSync(place) && !isTrusted(place)) throw { error: "untrusted" };
    const made = { open: new Map(), lost: new Map(), rest: "", position: 0, received: 0, usable: true, farewell: ["ENDED"] };
    made.socket = net.connect(place);
    made.socket.on("data", (data) => {
        const lines = (made.rest + data.toString("latin1")).split("\n");
        made.rest = lines.pop();
        lines.forEach((line) => take(made, line));
    });
    made.socket.on("error", () => {}).on("close", () => {
        made.usable = false;
        made.lost.set("all", "disconnected");
        tell(made);
        made.open.forEach((settle) => settle(made.farewell));
    });
    return made;
}

function take(made, line) {
    const words = line.split(" ");
    if (words[1] === "RESUMED") return void (made.position = Number(words[2].slice(5)));
    if ((made.position += line.length + 1) <= made.received) return;
    made.received = made.position;
    if (words[0] === "!") {
        if (words[1] === "DRAIN") made.usable = false;
        if (["EXPIRED", "REVOKED"].includes(words[1])) made.lost.set(words[3], words[1].toLowerCase());
        return tell(made);
    }
    if (words[0] === "ERROR") made.farewell = words; // Without a tag, it says why the session ends.
    made.open.get(words[0])?.(words.slice(1));
    made.open.delete(words[0]);
}

function ask(made, text, patience = 10_000) {
    const tag = `#${++tags}`;
    const reply = new Promise((settle) => {
        made.open.set(tag, settle);
        if (patience) setTimeout(() => settle(["SILENT"]), patience).unref();
        if (made.lost.has("all")) settle(made.farewell);
    });
    made.socket.write(`${tag} ${text}\n`);
    return { tag, reply };
}

const encode = (hex) => Buffer.from(hex, "hex").toString("latin1").replace(/[^-A-Za-z0-9._~/:@+]/g,
    (byte) => "%" + byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0"));

// A reply that refuses becomes an error with its word and fields.
function check(words, ...good) {
    const isGrant = words[0] !== "GRANTED" || /^token=[1-9][0-9]*$/.test(words[3]);
    if (good.includes(words[0]) && isGrant) return words;
    const code = words[0] === "ERROR" ? words[1] : words[0].toLowerCase();
    const known = { ended: "unavailable", "not-held": "lost", stale: "lost", "cluster-unavailable": "cluster" };
    throw { ...fields(words), error: code.startsWith("limit-") ? "limit" : known[code] ?? code };
}

function fields(words) {
    const pairs = words.filter((word) => word.includes("=")).map((word) => word.split(/=(.*)/s));
    const { token, ownerdied, cycle, "held-by": held_by } = Object.fromEntries(pairs);
    return { token, ownerdied, cycle, held_by };
}

// ---- The adapter

function giveUp(made, tag) {
    const settle = made.open.get(tag);
    made.open.set(tag, (late) => late[0] === "GRANTED" && ask(made, `RELEASE ${late[1]} ${late[3]}`));
    ask(made, `CANCEL ${tag}`);
    settle?.(["CANCELLED"]);
}

// What waits is undone if no reply comes in time: cancelled, and released if it was granted.
async function wait(made, command, text) {
    const milliseconds = command.wait_ms;
    const limit = milliseconds === undefined ? "" : ` wait=${milliseconds || ""}${milliseconds ? "ms" : "0"}`;
    const asked = ask(made, text + limit, milliseconds === undefined ? 0 : milliseconds + quiet);
    requests.set(command.id, [made, asked.tag]);
    const words = await asked.reply;
    if (words[0] === "SILENT") giveUp(made, asked.tag);
    return check(words, "GRANTED");
}

function tell(made) {
    for (const [id, grant] of grants)
        if (grant.made === made && (made.lost.has(grant.token) || made.lost.has("all"))) say({ event: "lost", of: id });
}

async function carryOut(command) {
    const name = command.name_hex && encode(command.name_hex);
    if (name !== undefined && (name.length < 1 || name.length > 255)) throw { error: "invalid" };
    if (command.do !== "cancel" && !session?.usable) session = connect();
    if (command.do === "acquire") {
        const made = session, lease = command.lease_ms ? ` lease=${command.lease_ms}ms` : "";
        const note = command.note ? ` note=${encode(Buffer.from(command.note).toString("hex"))}` : "";
        const text = `${command.mode.toUpperCase()} ${name} owner=${command.owner}${lease}${note}`;
        const words = await wait(made, command, text);
        grants.set(command.id, { made, name, token: words[3] });
        if (made.lost.has(words[3])) tell(made); // The notice came with the grant.
        return { mode: words[2], ...fields(words) };
    }
    if (command.do === "cancel") {
        return giveUp(...requests.get(command.request));
    }
    if (command.do === "validate") {
        const words = await ask(session, `VALIDATE ${name} token=${command.token}`).reply;
        return { valid: check(words, "VALID", "STALE")[0] === "VALID" ? "1" : "0" };
    }
    const grant = grants.get(command.grant);
    if (!grant) throw { error: "not-held" };
    const lost = grant.made.lost.get(grant.token) ?? grant.made.lost.get("all");
    if (command.do === "release") grants.delete(command.grant);
    if (lost) throw { error: "lost", reason: lost };
    const about = `${grant.name} ${grant.token}`;
    if (command.do === "release") return void check(await ask(grant.made, `RELEASE ${about}`).reply, "RELEASED");
    if (command.do === "renew")
        return void check(await ask(grant.made, `RENEW ${about} lease=${command.lease_ms}ms`).reply, "RENEWED");
    if (command.do === "check") return void check(await ask(grant.made, `VALIDATE ${about}`).reply, "VALID");
    const words = command.do === "upgrade" ? await wait(grant.made, command, `UPGRADE ${about}`)
        : check(await ask(grant.made, `DOWNGRADE ${about} to=${command.mode}`).reply, "GRANTED");
    grant.token = words[3];
    return { mode: words[2], ...fields(words) };
}

say({ client: "by hand, Node", can });
readline.createInterface({ input: process.stdin }).on("line", (line) => {
    const command = JSON.parse(line);
    carryOut(command).then((answer) => say({ id: command.id, ...answer }),
        (error) => say({ id: command.id, ...(error.error ? error : { error: "other", text: String(error) }) }));
}).on("close", () => process.exit(0));
