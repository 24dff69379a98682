/** Starts the page. */
import { ChatPage } from "./chat-page.js";
import { prepareDialogs } from "./dialogs.js";
import { Store } from "./store.js";

prepareDialogs();
const store = await Store.open();
new ChatPage(store, await store.all());
