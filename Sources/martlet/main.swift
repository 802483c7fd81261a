internal import Glibc
internal import MartletServer

// The main thread only waits: `await` here would hand it to Dispatch, which lets signals through to it.
SignalWatcher.block()
Task.detached { await CommandDispatch.run(CommandLine.arguments.dropFirst()) }
while true { pause() }
