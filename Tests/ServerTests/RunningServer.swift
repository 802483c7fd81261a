import Foundation
import MartletMedia
import MartletPrimitives
import MartletServer
import TestSupport

/// A server of two workers on ports that the kernel chose.
func withServer(
  _ edit: (inout ServerConfiguration) -> Void = { _ in }, _ body: (Server, _ port: UInt16) async throws -> Void
) async throws {
  var configuration = ServerConfiguration()
  let any = SocketAddress(ip: .v4(127 << 24 | 1), port: 0)
  configuration.listeners = .init(http: any, https: nil, rtmp: any, rtmps: nil)
  configuration.workers = 2
  configuration.drain = .milliseconds(200)
  configuration.streams.waitForPublisher = .milliseconds(300)
  edit(&configuration)
  let server = try await Server(configuration, log: .silent)
  do { try await body(server, server.bound.http?.port ?? 0) } catch {
    await server.drain()
    throw error
  }
  await server.drain()
}

func json(_ text: String) throws -> JSON { try JSON(parsing: text) }

/// The test vector.
func testFile() throws -> Data {
  let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  return try Data(contentsOf: root.appendingPathComponent("ContainersTests/Vectors/h264-aac-bframes.flv"))
}

/// A published stream: the test vector, sent as FLV and kept open.
func publish(port: UInt16, path: String = "live/cam", query: String = "") throws -> RawClient {
  let file = try testFile()
  let client = try RawClient(port: port)
  client.send("POST /\(path).flv\(query) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nTransfer-Encoding: chunked\r\n\r\n")
  client.send("\(String(file.count, radix: 16))\r\n")
  client.send(Array(file) + [13, 10])
  return client
}

/// Asks until the stream is there.
func waitForStream(port: UInt16, path: String = "live/cam") throws -> JSON {
  for _ in 0..<100 {
    let answer = try RawClient.request("GET", "/api/v1/streams/\(path)", port: port)
    if answer.status == 200, let stream = try? json(answer.body), stream["tracks"]?.arrayValue?.count == 2 { return stream }
    usleep(20_000)
  }
  throw RawClientError(reason: "\(path) did not appear")
}
