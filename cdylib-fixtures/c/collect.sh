cd /tmp/E
for i in $(seq 1 40); do for w in 1000 1300; do
./dlsoak0 -q run s$w.toml -o /tmp/E/data/$w-$i --message-format json >/dev/null 2>&1
rm -f data/$w-$i/*.svg data/$w-$i/*.png
done; done; echo done > data/done
