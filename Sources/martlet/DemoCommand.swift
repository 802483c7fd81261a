internal import MartletServer

/// `martlet demo`: serves a picture that moves, so that there is something to see at once.
enum DemoCommand: Command {
  static let name = "demo"
  static let summary = "Runs the server with a moving test picture published as live/demo"
  static let usage = "[flags]"
  static let details = "Everything that serve does, with the same flags, and a stream to watch."
  static var flags: [CommandFlag] { ServeOptions.flags.filter { $0.name != "demo" } }

  static func run(_ arguments: CommandLineArguments) async throws {
    #if Transcoding
      try await ServeCommand.serve(arguments, demo: true)
    #else
      throw UsageError("this build is without FFmpeg's libraries (package trait Transcoding), which make the picture; use serve")
    #endif
  }
}
