import Glibc
import MartletPrimitives
import MartletServer
import TestSupport
import Testing

/// Socket.IO's requests as they are on the wire, each over a connection of its own: on two workers about half of them come in
/// at a worker that the session does not live on.
@Suite(.serialized, .timeLimit(.minutes(5))) struct SocketIOServerTests {
  private static func request(_ method: String, _ sid: String, port: UInt16, body: String = "") throws -> (status: Int, body: String) {
    let query = "/diag/socket.io/?EIO=4&transport=polling" + (sid.isEmpty ? "" : "&sid=\(sid)")
    let answer = try RawClient.request(method, query, port: port, body: body)
    return (answer.status, answer.body)
  }

  private static func open(port: UInt16) throws -> String {
    let answer = try request("GET", "", port: port)
    return try json(String(answer.body.dropFirst()))["sid"]?.stringValue ?? ""
  }

  @Test func `a poll and a POST find their session from any worker`() async throws {
    try await withServer {
      $0.diagnostics = true
    } _: { _, port in
      try await blocking {
        for _ in 0..<12 {
          let sid = try Self.open(port: port)
          #expect(try Self.request("POST", sid, port: port, body: "40{\"a\":1}").body == "ok")
          let joined = try Self.request("GET", sid, port: port).body
          #expect(joined.hasPrefix("40{\"sid\":") && joined.hasSuffix("\u{1E}42[\"auth\",{\"a\":1}]"))
          #expect(try Self.request("POST", sid, port: port, body: "42[\"message\",1]\u{1E}42[\"message\",2]").body == "ok")
          #expect(try Self.request("GET", sid, port: port).body == "42[\"message-back\",1]\u{1E}42[\"message-back\",2]")
          #expect(try Self.request("POST", sid, port: port, body: "4nonsense").status == 200)
          #expect(try Self.request("GET", sid, port: port).status == 400)
        }
      }
    }
  }

  @Test func `a client that leaves in the middle of a poll ends its session, wherever it came in`() async throws {
    try await withServer {
      $0.diagnostics = true
    } _: { _, port in
      try await blocking {
        for _ in 0..<8 {
          let sid = try Self.open(port: port)
          var client: RawClient? = try RawClient(port: port)
          client?.send("GET /diag/socket.io/?EIO=4&transport=polling&sid=\(sid) HTTP/1.1\r\nHost: a\r\n\r\n")
          usleep(30_000)
          client = nil
          var status = 0
          for _ in 0..<200 where status != 400 {
            usleep(30_000)
            status = try Self.request("POST", sid, port: port, body: "40").status
          }
          #expect(status == 400)
        }
      }
    }
  }

  @Test func `a forged id, of a worker that is not there or a session that is not, is unknown`() async throws {
    try await withServer {
      $0.diagnostics = true
    } _: { _, port in
      try await blocking {
        for sid in ["x", "_____________________", "____________________", "AAAAAAAAAAAAAAAAAAAA", "AQAAAAAAAAAAAAAAAAAA", "%00"] {
          for method in ["GET", "POST"] {
            let answer = try Self.request(method, sid, port: port, body: method == "POST" ? "4" : "")
            #expect(answer.status == 400 && answer.body == #"{"code":1,"message":"Session ID unknown"}"#)
          }
        }
      }
    }
  }

  @Test func `an unfinished POST does not keep a second one waiting: the session ends`() async throws {
    try await withServer {
      $0.diagnostics = true
    } _: { _, port in
      try await blocking {
        let sid = try Self.open(port: port)
        let slow = try RawClient(port: port)
        slow.send("POST /diag/socket.io/?EIO=4&transport=polling&sid=\(sid) HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n40")
        usleep(50_000)
        #expect(try Self.request("POST", sid, port: port, body: "40").status == 400)
        #expect(try Self.request("GET", sid, port: port).status == 400)
      }
    }
  }
}
