package import MartletIO
internal import MartletPrimitives
internal import Synchronization

/// A thread with an event loop for clients. All clients of a process share one, which the first of them starts; a loop
/// carries some gigabits a second, and what it carries never waits for a task of the application.
package final class ClientLoop: Sendable {
  package static let shared = ClientLoop()

  fileprivate let worker: Worker
  private let count = Atomic<UInt64>(0)

  package init() {
    worker = Worker(EventLoop(index: 0), log: .silent) { $0.register(LoopResidents()) }
  }

  fileprivate func nextID() -> UInt64 { count.add(1, ordering: .relaxed).newValue }

  /// Ends the thread, with every client on it. The shared loop lives as long as the process.
  package func stop() {
    worker.loop.post { $0.stop() }
    worker.join()
  }
}

/// What lives on a client loop: not Sendable, touched on the loop's thread only.
package protocol LoopObject: AnyObject, SendableMetatype {
  /// The last handle is gone: nobody will ask for anything any more.
  func handleIsGone()
}

/// The Sendable handle of an object on a client loop.
package final class LoopBound<Object: LoopObject>: Sendable {
  private let loop: ClientLoop
  private let id: UInt64

  /// - Parameter make: runs on the loop.
  package init(on loop: ClientLoop, _ make: @escaping @Sendable (LoopContext) -> Object) {
    self.loop = loop
    let id = loop.nextID()
    self.id = id
    loop.worker.loop.post { context in context.service(LoopResidents.self).objects[id] = make(context) }
  }

  /// Runs `body` with the object on the loop, in the order posted.
  package func post(_ body: @escaping @Sendable (Object) -> Void) {
    loop.worker.loop.post { [id] context in
      guard let object = context.service(LoopResidents.self).objects[id] as? Object else { return }
      body(object)
    }
  }

  deinit {
    loop.worker.loop.post { [id] context in
      let object = context.service(LoopResidents.self).objects.removeValue(forKey: id)
      (object as? any LoopObject)?.handleIsGone()
    }
  }
}

private final class LoopResidents { var objects: [UInt64: AnyObject] = [:] }
