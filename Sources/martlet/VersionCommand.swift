internal import MartletServer

/// `martlet version`.
enum VersionCommand: Command {
  static let name = "version"
  static let summary = "Prints the version"
  static let usage = ""

  static func run(_ arguments: CommandLineArguments) async throws {
    _ = try arguments.operands()
    print(MartletVersion.text)
  }
}
