import Foundation
import MartletClient
import MartletServer
import Pacing

/// A streaming server inside a program, which publishes a file of its own and tells where it can be watched.
@main struct EmbeddedServer {
  static let usage = "usage: embedded-server FILE.flv [HTTP-PORT RTMP-PORT]"

  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard arguments.count == 1 || arguments.count == 3 else { fail(usage, status: 64) }
    let ports = arguments.dropFirst().compactMap { Int($0) }
    do {
      var configuration = Server.Configuration()
      try configuration.listen(http: ports.first ?? 8080, rtmp: ports.last ?? 1935)
      // Any setting of docs/configuration.md, as it would stand in a file.
      try configuration.set("hls.fragment", "1s")
      try await serve(arguments[0], configuration)
    } catch {
      fail("embedded-server: \(error)", status: 1)
    }
  }

  static func serve(_ path: String, _ configuration: Server.Configuration) async throws {
    let server = try await Server.start(configuration)
    let camera = try await server.publish("live/file")
    for listener in server.listeners where listener.scheme == "http" {
      say("watch: \(listener)/play/live/file   \(listener)/live/file.m3u8   \(listener)/live/file.flv")
    }
    for listener in server.listeners where listener.scheme == "rtmp" {
      say("watch: \(listener)/live/file   publish: \(listener)/live/NAME")
    }
    let publishing = Task { try await publish(path, as: camera) }
    let reporting = Task {
      while true {
        try await Task.sleep(for: .seconds(5))
        for stream in await server.streams() { say("\(stream.path): \(stream.viewers) viewers, \(stream.bitrate / 1000) kbit/s") }
      }
    }
    await interruption()
    reporting.cancel()
    publishing.cancel()
    await server.stop()
    say("stopped")
  }

  static func publish(_ path: String, as camera: LocalPublisher) async throws {
    var pace = Pace()
    while true {
      for try await packet in FLVFileReader(path: path) { try await camera.send(try await pace.wait(for: packet)) }
      pace.startAgain()
    }
  }

  /// Returns with the first SIGINT or SIGTERM.
  static func interruption() async {
    let (signals, continuation) = AsyncStream.makeStream(of: Int32.self)
    let sources = [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number)
      source.setEventHandler { continuation.yield(number) }
      source.resume()
      return source
    }
    for await _ in signals { break }
    for source in sources { source.cancel() }
  }

  /// At once, also into a pipe.
  static func say(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }

  static func fail(_ text: String, status: Int32) -> Never {
    FileHandle.standardError.write(Data((text + "\n").utf8))
    exit(status)
  }
}
