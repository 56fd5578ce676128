// The other end of the stage that the Rust test holds: it puts what nodes would report into the console's store.
import { connect } from "node:net";

/** Says one line and waits until it is done. */
export function stage(command: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(process.env["MOAT_UI_STAGE"]), "127.0.0.1");
    let answer = "";
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => {
      answer += text;
    });
    socket.on("end", () => (answer.trim() === "done" ? resolve() : reject(new Error(`${command}: ${answer}`))));
    socket.on("error", reject);
    socket.write(`${command}\n`);
  });
}
