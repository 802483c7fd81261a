internal import Glibc
internal import MartletPrimitives
internal import MartletServer

var configuration = ServerConfiguration()
configuration.diagnostics = CommandLine.arguments.contains("--diagnostics")
let writer = LogWriter(configuration.log)
let server = try await Server(configuration, log: writer.log)
writer.log(.info, "server", "ready")
while true { try await Task.sleep(nanoseconds: 1_000_000_000) }
