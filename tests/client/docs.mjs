/*
 * The page at /docs, as a person uses it: log in by the page, authorize with the token,
 * ask for the tasks, see the row. The browser has no network but the service: every
 * request for anything else is noted, and is a failure.
 */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const api = process.env.API ?? "http://127.0.0.1:3000";
const email = "reader@docs.example";
const password = "password123";
const title = "Seen in the browser";

async function post(path, body, token) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(api + path, { method: "POST", headers, body: JSON.stringify(body) });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return answer.json();
}

/** One operation of the page, opened, with its form. */
async function opened(page, id) {
  const operation = page.locator(`.opblock[id$="-${id}"]`);
  await operation.locator(".opblock-summary-control").click();
  await operation.getByRole("button", { name: "Try it out" }).click();
  return operation;
}

/** Sends it, and reads the body of the answer, which has this status. */
async function executed(operation, status) {
  await operation.getByRole("button", { name: "Execute" }).click();
  const answer = operation.locator(".live-responses-table");
  await answer.locator(".response-col_status", { hasText: status }).first().waitFor();
  return JSON.parse(await answer.locator(".response-col_description .microlight").first().innerText());
}

const profile = await mkdtemp(join(tmpdir(), "pg_tenancy-docs-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
try {
  await post("/tenants/register", { tenantName: "Docs readers", email, password });
  const page = await context.newPage();
  const elsewhere = [];
  const complaints = [];
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && url.origin !== api) elsewhere.push(request.url());
  });
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));

  const answer = await page.goto(`${api}/docs`);
  assert.equal(answer.status(), 200);
  assert.match(answer.headers()["content-security-policy"], /default-src 'none'/);
  assert.equal(answer.headers()["x-content-type-options"], "nosniff");

  const login = await opened(page, "login");
  await login.locator("textarea.body-param__text").fill(JSON.stringify({ email, password }));
  const { access_token: token } = await executed(login, "200");
  await post("/tasks", { title }, token);

  await page.locator(".auth-wrapper .authorize").first().click();
  const dialog = page.locator(".dialog-ux");
  await dialog.locator("input").first().fill(token);
  await dialog.getByRole("button", { name: "Apply credentials" }).click();
  await dialog.getByRole("button", { name: "Close" }).click();

  const tasks = await executed(await opened(page, "listTasks"), "200");
  assert.deepEqual(tasks.data.map((task) => task.title), [title]);
  assert.deepEqual(elsewhere, [], "the page asked somebody else");
  assert.deepEqual(complaints, [], "the browser complained");
} finally {
  await context.close();
  await rm(profile, { recursive: true, force: true });
}
console.log("The page works, and asks nobody else.");
