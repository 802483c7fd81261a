internal import Glibc
internal import MartletServer

/// Finds the command, runs it, and ends the process with the status that says how it went.
enum CommandDispatch {
  static var commands: [any Command.Type] {
    [ServeCommand.self, DemoCommand.self, ConfigCommand.self, DoctorCommand.self, TokenCommand.self, VersionCommand.self]
  }

  static func run(_ arguments: ArraySlice<String>) async -> Never {
    guard let name = arguments.first else { Terminal.fail(Terminal.overview(commands), status: Terminal.usage) }
    if ["--help", "-h", "help"].contains(name) { Terminal.finish(Terminal.overview(commands)) }
    if name == "--version" { Terminal.finish(MartletVersion.text) }
    guard let command = commands.first(where: { $0.name == name }) else {
      let meant = Suggestion.nearest(to: name, among: commands.map { $0.name }).map { "; did you mean \($0)?" }
      Terminal.fail("martlet: there is no command \"\(name)\"\(meant ?? "; martlet --help lists those there are")", status: Terminal.usage)
    }
    do {
      let parsed = try CommandLineArguments(arguments.dropFirst(), accepting: command.flags)
      if parsed.wantsHelp { Terminal.finish(Terminal.help(command)) }
      try await command.run(parsed)
    } catch let error as UsageError {
      Terminal.fail("martlet \(name): \(error.reason)", status: Terminal.usage)
    } catch let error as ConfigurationError {
      Terminal.fail(error.lines.joined(separator: "\n"), status: Terminal.configuration)
    } catch {
      Terminal.fail("martlet \(name): \(error)", status: Terminal.failure)
    }
    exit(0)
  }
}
