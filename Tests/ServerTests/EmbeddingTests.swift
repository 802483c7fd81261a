import MartletClient
import MartletEndpoints
import MartletPrimitives
import MartletServer
import Synchronization
import TestSupport
import Testing

/// What a program has of a server inside it.
@Suite(.serialized, .timeLimit(.minutes(5))) struct EmbeddingTests {
  private func configuration() throws -> Server.Configuration {
    var configuration = Server.Configuration()
    try configuration.listen(http: 0, rtmp: 0)
    try configuration.set("workers", "2")
    try configuration.set("drain", "100ms")
    return configuration
  }

  private func packets() -> [MediaPacket] {
    guard let format = try? MediaFormat(.aac, configuration: [0x11, 0x90]) else { return [] }
    return [.format(format)]
      + (0..<50).map { .frame(MediaFrame(.audio, at: .milliseconds(20 * $0), payload: [0x21, UInt8($0), 3, 4])) }
  }

  @Test func `a server listens where it is told, publishes what the program sends, and stops`() async throws {
    let server = try await Server.start(configuration(), log: .silent)
    #expect(server.listeners.map(\.scheme) == ["http", "rtmp"])
    #expect(server.listeners.allSatisfy { $0.port > 0 && $0.host == "127.0.0.1" })
    let local = try await server.publish("live/sound")
    try await local.send(packets())
    var stream: Server.Stream?
    for _ in 0..<500 where stream?.formats.isEmpty != false {
      stream = await server.streams().first
      try await Task.sleep(nanoseconds: 10_000_000)
    }
    #expect(stream?.path == "live/sound")
    #expect(stream?.isLive == true)
    #expect(stream?.formats.first?.sampleRate == 48_000)
    #expect(stream?.viewers == 0)
    await local.finish()
    #expect(await server.streams().first?.isLive == false)
    await server.stop()
    await server.stop()
    #expect(await server.streams().isEmpty)
    await #expect(throws: ServerError.stopped) { _ = try await server.publish("live/late") }
  }

  @Test func `a path is published once, and only where it may be`() async throws {
    let server = try await Server.start(configuration(), log: .silent)
    let first = try await server.publish("live/one")
    for path in ["live/one", "live", "api/v1", "live/../x", ""] {
      await #expect(throws: ServerError.self) { _ = try await server.publish(path) }
    }
    do throws(ServerError) {
      try await first.send(.frame(MediaFrame(.video, at: .zero, payload: [1])))
      Issue.record("a frame before its format was taken")
    } catch { #expect(error.description.contains(".format")) }
    await server.stop()
    await #expect(throws: ServerError.stopped) { try await first.send(packets()) }
    await first.finish()
  }

  @Test func `whoever takes a stream over is noticed by its first publisher`() async throws {
    var settings = try configuration()
    try settings.set("streams.takeover", "replace")
    let server = try await Server.start(settings, log: .silent)
    let first = try await server.publish("live/mine")
    try await first.send(packets())
    let second = try await server.publish("live/mine")
    do throws(ServerError) {
      for _ in 0..<500 {
        try await first.send(packets())
        try? await Task.sleep(nanoseconds: 10_000_000)
      }
      Issue.record("the first publisher did not notice")
    } catch {
      if case .revoked = error {} else { Issue.record("\(error)") }
    }
    await second.finish()
    await server.stop()
  }

  @Test func `settings come from text, and their mistakes are told with lines`() throws {
    var configuration = try Server.Configuration(yaml: "workers: 3\nlisteners:\n  http: 127.0.0.1:0\n")
    #expect(configuration.values.workers == 3)
    do throws(ServerError) {
      _ = try Server.Configuration(yaml: "workers: 3\nhttq: 1\n")
      Issue.record("a key that is none was taken")
    } catch { #expect(error.description.hasPrefix("configuration:2:1:")) }
    do throws(ServerError) {
      try configuration.set("hls.fragment", "soon")
      Issue.record("a duration that is none was taken")
    } catch { #expect(error.description.hasPrefix("hls.fragment: ")) }
    #expect(throws: ServerError.self) { try configuration.set("hls.fragmet", "1s") }
    #expect(throws: ServerError.self) { _ = try Server.Configuration(file: "/nonexistent.yaml") }
    try configuration.set("hls.fragment", "1s")
    #expect(configuration.values.hls.fragment == .seconds(1))
    #expect(configuration.values.workers == 3)
    try configuration.listen(on: "::", rtmp: 1935)
    #expect(configuration.values.listeners.http == nil)
    #expect(configuration.values.listeners.rtmp.map { "\($0)" } == "[::]:1935")
  }

  @Test func `a reload says what it did, and an address that is taken what is wrong`() async throws {
    final class Lines: Sendable { let all = Mutex<[Server.LogLine]>([]) }
    let log = Lines()
    let settings = try configuration()
    let server = try await Server.start(settings, log: .handler { line in log.all.withLock { $0.append(line) } })
    var changed = settings
    try changed.set("auth.keys", "[{key: secret-of-a-test, do: publish, on: live/*}]")
    try changed.set("workers", "1")
    let reload = await server.reload(changed)
    #expect(reload.applied == ["auth.keys"])
    #expect(reload.needRestart == ["workers"])
    var clashing = try configuration()
    try clashing.listen(http: server.listeners.first?.port)
    await #expect(throws: ServerError.self) { _ = try await Server.start(clashing, log: .silent) }
    await server.stop()
  }
}
