internal import Glibc
internal import MartletServer

/// One of the things that `martlet` does.
protocol Command {
  static var name: String { get }
  /// One line for the list of commands.
  static var summary: String { get }
  /// What follows the name, as `[flags]`.
  static var usage: String { get }
  static var details: String { get }
  static var flags: [CommandFlag] { get }
  static func run(_ arguments: CommandLineArguments) async throws
}

extension Command {
  static var details: String { "" }
  static var flags: [CommandFlag] { [] }
}

/// What people see.
enum Terminal {
  /// EX_USAGE, EX_CONFIG of sysexits.
  static let usage: Int32 = 64, configuration: Int32 = 78, failure: Int32 = 1

  static func fail(_ text: String, status: Int32) -> Never {
    let bytes = Array((text + "\n").utf8)
    _ = write(STDERR_FILENO, bytes, bytes.count)
    exit(status)
  }

  static func finish(_ text: String) -> Never {
    print(text)
    exit(0)
  }

  static func overview(_ commands: [any Command.Type]) -> String {
    let usages = commands.map { "martlet \($0.name) \($0.usage)" }
    let width = (usages.map(\.count).max() ?? 0) + 2
    let lines = zip(usages, commands).map { usage, command in
      "  " + usage + String(repeating: " ", count: width - usage.count) + command.summary
    }
    return """
      \(MartletVersion.text): live video, and everything else that moves in real time

      \(lines.joined(separator: "\n"))

      `martlet COMMAND --help` tells more about each. Without a configuration file the server listens for HTTP on port 8080 and
      for RTMP on port 1935: publish to rtmp://HOST/live/NAME and open http://HOST:8080/.
      """
  }

  static func help(_ command: any Command.Type) -> String {
    var text = "usage: martlet \(command.name) \(command.usage)\n\n\(command.summary).\n"
    if !command.details.isEmpty { text += "\n\(command.details)\n" }
    if !command.flags.isEmpty { text += "\n\(CommandLineArguments.help(command.flags))\n" }
    return String(text.dropLast())
  }

  /// The environment of this process.
  static var environment: [String: String] {
    var result: [String: String] = [:]
    var entry = environ
    while let text = entry.pointee {
      let parts = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      if parts.count == 2 { result[String(parts[0])] = String(parts[1]) }
      entry += 1
    }
    return result
  }
}
