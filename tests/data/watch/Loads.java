/* A host that loads a library 20 times in each step, each time in a class loader that is collected. Only then does the JVM close the library,
   and only one loader may have it at a time. A step begins with a line of one FIFO and ends with a line in the other. */
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.nio.file.Files;
import java.nio.file.Path;

public class Loads {
    /* Each loader has a class of its own of this. */
    public static class Library {
        public static void load(String path) {
            System.load(path);
        }
    }

    static final class Loader extends ClassLoader {
        Loader() {
            super(null);
        }

        Class<?> define(byte[] code) {
            return defineClass(Library.class.getName(), code, 0, code.length);
        }
    }

    static void load(byte[] code, String path) throws Exception {
        new Loader().define(code).getMethod("load", String.class).invoke(null, path);
    }

    static boolean isMapped(String path) throws Exception {
        return Files.readString(Path.of("/proc/self/maps")).contains(path);
    }

    public static void main(String[] arguments) throws Exception {
        String library = arguments[0];
        byte[] code = Loads.class.getResourceAsStream("Loads$Library.class").readAllBytes();
        while (true) {
            try (FileInputStream go = new FileInputStream(arguments[1])) {
                while (go.read() >= 0) {
                }
            }
            for (int i = 0; i < 20; i++) {
                load(code, library);
                do {
                    System.gc();
                    Thread.sleep(1);
                } while (isMapped(library));
            }
            try (FileOutputStream done = new FileOutputStream(arguments[2])) {
                done.write("done\n".getBytes());
            }
        }
    }
}
