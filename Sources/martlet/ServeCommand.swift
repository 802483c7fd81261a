internal import Glibc
internal import MartletPrimitives
internal import MartletServer

/// `martlet serve`: runs the server until it is told to stop.
enum ServeCommand: Command {
  static let name = "serve"
  static let summary = "Runs the server"
  static let usage = "[--config FILE] [flags]"
  static let details = """
    Settings come from flags, environment variables and the configuration file, in this order of precedence; `martlet config
    example` shows them all. SIGTERM and SIGINT stop the server when its connections are done, at once the second time; SIGHUP
    reads the configuration again.
    """
  static var flags: [CommandFlag] { ServeOptions.flags }

  static func run(_ arguments: CommandLineArguments) async throws { try await serve(arguments, demo: false) }

  static func serve(_ arguments: CommandLineArguments, demo: Bool) async throws {
    _ = try arguments.operands()
    let environment = Terminal.environment
    var loaded = try ServeOptions.load(arguments, environment: environment)
    if demo { loaded.configuration.demo = true }
    let writer = LogWriter(loaded.configuration.log)
    for note in loaded.notes { writer.log(.warning, "config", note) }
    let (signals, continuation) = AsyncStream.makeStream(of: SignalWatcher.Signal.self)
    let watcher = SignalWatcher.start { continuation.yield($0) }
    let server: Server
    do { server = try await Server(loaded.configuration, log: writer.log) } catch {
      writer.log(.error, "server", "\(error)")
      writer.close()
      exit(Terminal.failure)
    }
    StartReport(server.configuration, bound: server.bound).write(to: writer.log)
    for await signal in signals {
      if signal == .stop { break }
      await reload(server, writer, arguments, environment, demo: demo)
    }
    writer.log(.info, "server", "stopping; a second signal ends it at once")
    await server.drain()
    writer.log(.info, "server", "stopped")
    writer.close()
    withExtendedLifetime(watcher) {}
  }

  /// Reads the configuration again. What is wrong with it is logged, and the running one stays.
  private static func reload(
    _ server: Server, _ writer: LogWriter, _ arguments: CommandLineArguments, _ environment: [String: String], demo: Bool
  ) async {
    do throws(ConfigurationError) {
      var wanted = try ServeOptions.load(arguments, environment: environment).configuration
      if demo { wanted.demo = true }
      if wanted.workers == 0 { wanted.workers = server.configuration.workers }
      let change = await server.reload(wanted)
      writer.setLevel(change.configuration.log.level)
      let applied = change.applied.isEmpty ? "nothing that can change now is different" : change.applied.joined(separator: ", ")
      writer.log(.info, "config", "reloaded: \(applied)")
      if !change.needRestart.isEmpty {
        writer.log(.warning, "config", "these changes need a restart: \(change.needRestart.joined(separator: ", "))")
      }
    } catch {
      for line in error.lines { writer.log(.error, "config", line) }
      writer.log(.error, "config", "not reloaded: the running configuration stays")
    }
  }
}
