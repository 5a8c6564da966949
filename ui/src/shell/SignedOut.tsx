import { Command } from "../parts/bits";

/** Shown when the server says this browser is not signed in. */
export function SignedOut() {
  return (
    <main className="signed-out">
      <img src="/favicon.svg" width="40" height="40" alt="" />
      <h1>Sign in to Dockreeve</h1>
      <p>This browser is not signed in, or its session has ended. There is no password: a sign-in link is printed on the machine that runs the server, works once, and keeps this browser signed in.</p>
      <h2>When you start it</h2>
      <p>The link is the last thing this prints:</p>
      <Command>dockreeve up</Command>
      <h2>When it is already running</h2>
      <p>On the same machine, as the same user:</p>
      <Command>dockreeve login</Command>
      <p className="muted">Open the link in this browser. A link that was used, or is older than its time, is refused: ask for a new one.</p>
      <button type="button" className="btn" onClick={() => location.reload()}>I have opened a link: continue</button>
    </main>
  );
}
